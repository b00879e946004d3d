"""The options that `simulate` and `trade` share, and what they mean together with `quant.toml`.

A flag wins over the configuration, which wins over what is usual on the exchange.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from quantcli.cli.keys import hide_keys
from quantcli.cli.output import note
from quantcli.clock import NS_PER_MS
from quantcli.config import Config, Fees, parse_fees, parse_money
from quantcli.errors import ConfigError, UsageError, ValidationError
from quantcli.model.instrument import Symbol

if TYPE_CHECKING:
    from quantcli.model.instrument import SymbolMetadata
    from quantcli.runtime.simulate import Job
    from quantcli.runtime.wiring import Assumptions
    from quantcli.trading.strategy import Strategy

FromOption = Annotated[Path, typer.Option("--from", metavar="DIR", help="Folder of recordings.")]
StrategyOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Strategy file, or FILE:CLASS.  Default: quant.toml's.")
]
ParamOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter of the strategy; repeatable.")
]
SymbolOption = Annotated[
    list[str] | None, typer.Option(metavar="SYMBOL", help="Trade this market only; repeatable.")
]
CashOption = Annotated[str | None, typer.Option(metavar="AMOUNT", help='Starting cash: "10000 USDT".')]
FeesOption = Annotated[
    str | None, typer.Option(metavar="MAKER,TAKER", help='Fee rates: "0.001,0.001" or "10bps,10bps".')
]
LatencyOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Milliseconds from us to the exchange.")
]
FeedLatencyOption = Annotated[
    int | None, typer.Option(min=0, metavar="N", help="Milliseconds from the exchange to us.")
]
SeedOption = Annotated[int | None, typer.Option(min=0, metavar="N", help="Seed of all chance in the run.")]

_CASH = Decimal(10_000)


class Terms(msgspec.Struct, frozen=True):
    """The options as given; `None` and empty mean: not given."""

    from_: Path | None
    strategy: str | None = None
    params: Sequence[str] = ()
    symbols: Sequence[str] = ()
    cash: str | None = None
    fees: str | None = None
    latency_ms: int | None = None
    feed_latency_ms: int | None = None
    queue: str | None = None
    seed: int | None = None


class Chosen(NamedTuple):
    """A strategy, where it was found, and what its parameters are set to."""

    strategy: "type[Strategy]"
    label: str
    source: Path
    params: Mapping[str, str]


def choose_strategy(terms: Terms, config: Config) -> Chosen:
    """Load the strategy that is meant, and try its beginning."""
    from quantcli.trading.loader import check_beginning, load_strategy

    reference = terms.strategy or (str(config.bot.strategy) if config.bot.strategy else None)
    if reference is None:
        raise UsageError(
            "no strategy is named", why="neither --strategy nor quant.toml names one", todo="--strategy FILE"
        )
    hide_keys()  # from here on somebody else's code runs, on paper too
    strategy = load_strategy(reference)
    params = _params(terms.params)
    check_beginning(strategy, params)
    source = Path(reference.partition(":")[0] if not Path(reference).is_file() else reference)
    return Chosen(strategy, f"{source.name}:{strategy.__name__}", source, params)


def prepare(terms: Terms, config: Config) -> "Job":
    """Open the recording, load the strategy, and settle what is assumed."""
    from quantcli.recording.reader import open_recording
    from quantcli.runtime.simulate import Job
    from quantcli.runtime.wiring import choose_markets, pays_in

    chosen = choose_strategy(terms, config)
    assert terms.from_ is not None
    recording = open_recording(terms.from_)
    asked = [_symbol(text, recording.instruments) for text in terms.symbols]
    markets = choose_markets(recording, chosen.strategy, asked)
    if left_out := sorted(set(recording.instruments) - set(markets)) if not asked else []:
        note(f"left out: {', '.join(left_out)}; choose with --symbol")
    some = next(iter(markets.values()))
    return Job(
        recording=recording,
        markets=markets,
        strategy=chosen.strategy,
        label=chosen.label,
        source=chosen.source,
        params=chosen.params,
        assumptions=assumptions(terms, config, pays_in(some), some.symbol.is_futures),
        limits=config.limits,
    )


def _symbol(text: str, known: "Mapping[str, SymbolMetadata]") -> str:
    """The canonical name of the market meant; the exchange's own name (btcusdt) is understood too."""
    meant = [name for name, rules in known.items() if rules.exchange_symbol == text.upper()]
    if len(meant) > 1:
        raise UsageError(
            f"{text!r} could be {len(meant)} markets", why=", ".join(meant), todo=f"--symbol {meant[0]}"
        )
    if meant:
        return meant[0]
    try:
        return Symbol.parse(text).name
    except ValidationError as error:
        raise UsageError(error.what, why=error.why, todo=error.todo) from None


def _params(texts: Sequence[str]) -> dict[str, str]:
    params = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {text!r} sets nothing", todo="write it like --param size=0.02")
        params[name.strip()] = value.strip()
    return params


def assumptions(terms: Terms, config: Config, currency: str, is_futures: bool) -> "Assumptions":
    """What is assumed of an imagined exchange, of an account in `currency`."""
    from quantcli.runtime.wiring import Assumptions
    from quantcli.simulation import fees as simulated
    from quantcli.simulation.latency import Latency
    from quantcli.simulation.matching import QueueModel

    usual = config.simulate
    if terms.queue is not None and terms.queue not in list(QueueModel):
        raise UsageError(f"{terms.queue!r} is no queue model", todo=f"one of {', '.join(QueueModel)}")
    maker, taker = usual.fees or _usual_fees(is_futures) if terms.fees is None else parse_fees(terms.fees)
    latency = usual.latency_ms if terms.latency_ms is None else terms.latency_ms
    feed = usual.feed_latency_ms if terms.feed_latency_ms is None else terms.feed_latency_ms
    return Assumptions(
        currency=currency,
        cash=_cash(terms, config, currency),
        fees=simulated.Fees(maker, taker),
        latency=Latency(latency * NS_PER_MS, feed * NS_PER_MS, jitter=True),
        queue=QueueModel(terms.queue or usual.queue or QueueModel.VOLUME),
        seed=usual.seed if terms.seed is None else terms.seed,
    )


def _cash(terms: Terms, config: Config, currency: str) -> Decimal:
    if terms.cash is None and config.simulate.cash is None:
        return _CASH
    cash = config.simulate.cash if terms.cash is None else parse_money(terms.cash)
    assert cash is not None
    if cash.currency == currency and cash.amount > 0:
        return cash.amount
    what = f"the account cannot start with {cash.amount} {cash.currency}"
    why = f"the chosen markets pay in {currency}"
    right = f'"{max(cash.amount, _CASH):f} {currency}"'
    if terms.cash is None:
        raise ConfigError(f"simulate.cash: {what}", why=why, todo=f"cash = {right} in [simulate]")
    raise UsageError(what, why=why, todo=f"--cash {right}")


def _usual_fees(is_futures: bool) -> Fees:
    """What an account without discounts pays (Binance's fee schedule, regular user)."""
    return (
        Fees(Decimal("0.0002"), Decimal("0.0005")) if is_futures else Fees(Decimal("0.001"), Decimal("0.001"))
    )
