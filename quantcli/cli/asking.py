"""Consent to what changes something: first what will happen, with numbers, then whether it may.

People are asked at a terminal only, and nothing is what happens by default; for money the bot's name is to be
typed.  A program says `--yes`.  Knows nothing of what is done.
"""

import sys
from typing import Annotated

import typer

from quantcli.cli.output import note, one_line
from quantcli.errors import SafetyError

REFUSED = SafetyError.exit_code

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def consent(plan: list[str], yes: bool, dry_run: bool, typed: str = "") -> None:
    """Go on if it may be done.  `typed` is what has to be typed, rather than y.

    Raises `typer.Exit` where it may not: with 0 after a dry run, with 8 after a no; and `SafetyError` where
    nobody can be asked.
    """
    for line in plan:
        note(one_line(line))
    if dry_run:
        note("nothing was done")
        raise typer.Exit(0)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise SafetyError(
            "not done without consent",
            why="there is no terminal to ask at",
            todo="add --yes, or --dry-run to see only what would be done",
        )
    if not _agrees(typed):
        note("nothing was done")
        raise typer.Exit(REFUSED)


def _agrees(typed: str) -> bool:
    sys.stderr.write(f"type {typed} to go on: " if typed else "go on? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    return answer == typed if typed else answer.lower() in ("y", "yes")
