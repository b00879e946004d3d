"""`quant sandbox`: a real exchange's protocol on loopback, with faults on demand."""

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantcli.cli.output import emit_line, note
from quantcli.cli.signals import stop_signals
from quantcli.clock import WallClock
from quantcli.config import parse_fees, parse_money
from quantcli.errors import UsageError

if TYPE_CHECKING:
    from quantcli.model.instrument import SymbolMetadata
    from quantcli.sandbox.assembly import Options

API_KEY, SECRET = "QUANT_SANDBOX_API_KEY", "QUANT_SANDBOX_SECRET"


def command(
    exchange: Annotated[str, typer.Argument(metavar="EXCHANGE", help="Whose protocol: binance.")],
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Play this recording; without it, a synthetic market."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65_535, metavar="N", help="Port of 127.0.0.1; 0 is any that is free.")
    ] = 0,
    speed: Annotated[
        float, typer.Option(metavar="X", help="Times real time; 0 is as fast as clients keep up.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of keys, market and faults.")] = 0,
    chaos: Annotated[Path | None, typer.Option(metavar="FILE", help="Fault plan (TOML).")] = None,
    symbol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYMBOL", help="Serve this market only (BTC/USDT:USDT for futures); repeatable."
        ),
    ] = None,
    balance: Annotated[
        list[str] | None, typer.Option(metavar="AMOUNT", help='Start with "10000 USDT"; repeatable.')
    ] = None,
    fees: Annotated[str | None, typer.Option(metavar="MAKER,TAKER", help='Fee rates: "10bps,10bps".')] = None,
    state: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep account and orders in this file.")
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Serve TLS too, on a port of its own.")] = False,
    no_limits: Annotated[bool, typer.Option("--no-limits", help="Count no requests and no orders.")] = False,
    hold: Annotated[
        bool, typer.Option("--hold", help='Market data waits for POST /sandbox/feed {"start": true}.')
    ] = False,
) -> None:
    """Serve a real exchange's protocol on 127.0.0.1, with an account to trade on and faults on demand.

    The first line on stdout is JSON: where to connect, and with which keys (QUANT_SANDBOX_API_KEY and
    QUANT_SANDBOX_SECRET set them).  Under /sandbox/ are the truth and the controls.  Ctrl-C ends it.
    """
    if exchange != "binance":
        raise UsageError(f"there is no sandbox of {exchange!r}", todo="quant sandbox binance")
    if not 0 <= speed <= 1_000_000:
        raise UsageError(f"--speed {speed:g} is not a speed", todo="1 is real time, 0 as fast as can be")
    options = _options(from_, port, speed, seed, chaos, symbol, balance, fees, state, tls, no_limits, hold)
    asyncio.run(_serve(options))


def _options(
    from_: Path | None,
    port: int,
    speed: float,
    seed: int,
    chaos: Path | None,
    symbol: list[str] | None,
    balance: list[str] | None,
    fees: str | None,
    state: Path | None,
    tls: bool,
    no_limits: bool,
    hold: bool,
) -> "Options":
    from quantcli.sandbox.assembly import USUAL_FEES, USUAL_FUTURES_FEES, Options
    from quantcli.simulation.fees import Fees

    amounts = [parse_money(text) for text in balance or []]
    if negative := [money for money in amounts if money.amount < 0]:
        raise UsageError(f"the account cannot start with {negative[0].amount} {negative[0].currency}")
    api_key, secret = os.environ.get(API_KEY, ""), os.environ.get(SECRET, "")
    if bool(api_key) != bool(secret):
        raise UsageError(f"{API_KEY} and {SECRET} belong together", todo="set both, or none")
    return Options(
        recording=from_,
        port=port,
        tls=tls,
        speed=speed,
        seed=seed,
        plan=chaos,
        symbols=tuple(symbol or ()),
        balances={money.currency: money.amount for money in amounts},
        fees=USUAL_FEES if fees is None else Fees(*parse_fees(fees), in_received=True),
        futures_fees=USUAL_FUTURES_FEES if fees is None else Fees(*parse_fees(fees)),
        state=state,
        is_held=hold,
        is_unlimited=no_limits,
        api_key=api_key,
        secret=secret,
    )


async def _serve(options: "Options") -> None:
    from quantcli.sandbox.assembly import Sandbox

    sandbox = Sandbox(options, WallClock())
    with stop_signals(sandbox.stop):
        try:
            told = await sandbox.open()
            emit_line(told)
            source = (
                f"{options.recording}, {options.speed:g} x" if options.recording else "a synthetic market"
            )
            kinds = _kinds(sandbox.instruments.values())
            note(f"binance {kinds} at {told['url']}: {' '.join(sandbox.instruments)}, {source}")
            if sandbox.is_continued:
                note(f"the account goes on from {options.state}")
            if options.is_held:
                note('market data is held: POST /sandbox/feed {"start": true}')
            await sandbox.run()
        finally:
            await sandbox.close()
    note("stopped")


def _kinds(metas: "Iterable[SymbolMetadata]") -> str:
    """Which of the exchange's markets are served."""
    kinds = {meta.symbol.is_futures for meta in metas}
    return " and ".join(name for name, is_it in (("spot", False), ("futures", True)) if is_it in kinds)
