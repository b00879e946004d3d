"""`quant doctor`: what could keep a bot from trading, one line for each thing that was looked at."""

import asyncio
import os
import sys
from functools import partial
from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit
from quantcli.places import find_project


def command(
    online: Annotated[bool, typer.Option("--online", help="Also ask the exchange what time it is.")] = False,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="With --online: instead of the exchange's own address.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look at the machine, the project and its files: = good, ~ worth knowing, x a problem.

    Changes nothing, and leaves with 1 if there is a problem.
    """
    from quantcli.runtime.checkup import PROBLEM, checkup

    found = list(
        checkup(find_project(), os.environ, sys.stdout, partial(_ahead_ms, endpoint) if online else None)
    )
    problems = sum(each.mark == PROBLEM for each in found)
    lines = [
        f"{each.mark} {each.check:<8}  {each.found}" + (f"\n            {each.todo}" if each.todo else "")
        for each in found
    ]
    verdict = f"{problems} {'problem' if problems == 1 else 'problems'}" if problems else "all is well"
    emit(
        document("Checkup", {"problems": problems, "items": found}),
        output,
        lambda _: "\n".join([*lines, verdict]),
    )
    if problems:
        raise typer.Exit(1)


def _ahead_ms(endpoint: str | None, exchange: str) -> float:
    from quantcli.runtime.key_check import clock_offset_ms

    return asyncio.run(clock_offset_ms(exchange, endpoint))
