"""The composition root: the one place that knows all rooms and joins them.

A desk is one strategy with everything it runs on.  Replay and live get the same desk; they differ in the
clock, the view of the market and the store they are given here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from quantcli.bus import Bus
from quantcli.clock import Clock
from quantcli.config import LimitsConfig
from quantcli.errors import ConfigError, NotFoundError, UsageError, ValidationError
from quantcli.kernel.api import ExchangeKernel
from quantcli.kernel.policy import Policy
from quantcli.model.instrument import Symbol, SymbolMetadata
from quantcli.model.order import Fill
from quantcli.ports import Gateway
from quantcli.recording.reader import Recording
from quantcli.report.markout import MarkOuts
from quantcli.runtime.logbook import Logbook
from quantcli.runtime.trace import Trace
from quantcli.runtime.view import LiveView, ReplayView
from quantcli.simulation.exchange import SimulatedExchange
from quantcli.simulation.fees import Fees
from quantcli.simulation.latency import Latency
from quantcli.simulation.matching import QueueModel
from quantcli.store.api import Identity, Store
from quantcli.store.halt import HaltFlag
from quantcli.trading.checks import Limits
from quantcli.trading.engine import Engine
from quantcli.trading.portfolio import Portfolio
from quantcli.trading.risk import RiskGate, loss_breached
from quantcli.trading.strategy import Strategy
from quantcli.trading.watch import Watch

_PATIENT = Policy()


class Assumptions(msgspec.Struct, frozen=True):
    """What is assumed of the imagined exchange and of our account there; `cash` in `currency`."""

    currency: str
    cash: Decimal
    fees: Fees
    latency: Latency
    queue: QueueModel
    seed: int


class Desk(msgspec.Struct, frozen=True):
    """One strategy, and everything it runs on."""

    engine: Engine
    kernel: ExchangeKernel
    portfolio: Portfolio
    bus: Bus


class SimulatedDesk(Desk, frozen=True):
    """A desk at an imagined exchange, and what keeps the records of its run."""

    exchange: SimulatedExchange
    trace: Trace
    logbook: Logbook
    markouts: MarkOuts


def choose_markets(
    recording: Recording, strategy: type[Strategy], asked: Sequence[str]
) -> dict[str, SymbolMetadata]:
    """The markets to trade: those asked for, else those the strategy names, else what one account can trade.

    An account is counted in one currency.  Where nothing is named, that is the currency of most of the
    recording.  Raises `NotFoundError` for a market that is not there, `UsageError` if those named pay in
    different currencies, `ValidationError` if there is none that can be simulated.
    """
    known = recording.instruments
    names = [Symbol.parse(text).name for text in (asked or strategy.symbols)]
    if not names:
        return _most_recorded(recording)
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"{name} is not in the recording",
                why=f"it holds {', '.join(sorted(known))}",
                todo="choose with --symbol, or record that market",
            )
    currencies = {pays_in(known[name]) for name in names}
    if len(currencies) > 1:
        raise UsageError(
            f"{', '.join(names)} pay in {' and '.join(sorted(currencies))}",
            why="an account is counted in one currency",
            todo="choose markets of one currency with --symbol",
        )
    return {name: known[name] for name in names}


def _most_recorded(recording: Recording) -> dict[str, SymbolMetadata]:
    rows: dict[str, int] = {}
    for stream in recording.streams:
        rules = recording.instruments.get(stream.symbol)
        if rules is not None and not rules.inverse:
            rows[pays_in(rules)] = rows.get(pays_in(rules), 0) + stream.rows
    if not rows:
        raise ValidationError(
            f"no market of {recording.root} can be simulated yet",
            why="coin-margined contracts settle in coin",
            todo="import a spot market, or a linear future",
        )
    currency = max(sorted(rows), key=rows.__getitem__)
    return {
        name: rules
        for name, rules in sorted(recording.instruments.items())
        if not rules.inverse and pays_in(rules) == currency
    }


def pays_in(rules: SymbolMetadata) -> str:
    """The currency a market's profit is in."""
    return rules.symbol.settle if rules.symbol.is_futures else rules.symbol.quote


def seeded_identity(seed: int) -> Identity:
    """The identity of a simulated run's orders: the same for the same seed."""
    drawn = hashlib.sha256(b"quant simulate %d" % seed).digest()
    return Identity(int.from_bytes(drawn[:2]), int.from_bytes(drawn[2:8]), drawn[8:24], epoch=1)


def build_desk(
    exchange_id: str,
    strategy: Strategy,
    markets: Mapping[str, SymbolMetadata],
    assumptions: Assumptions,
    limits: LimitsConfig,
    store: Store,
    halt: HaltFlag,
    clock: Clock,
    view: ReplayView | LiveView,
) -> SimulatedDesk:
    """Seat a strategy at an imagined exchange, and have records kept."""
    cash = {assumptions.currency: assumptions.cash}
    portfolio = open_books(exchange_id, assumptions.currency, cash, markets, clock, view)
    exchange = imagine(portfolio, markets, assumptions, clock)
    if isinstance(view, ReplayView):
        view.book_so_far = exchange.book_so_far
    desk = join(strategy, markets, portfolio, exchange, limits, store, halt, clock, view)
    trace, markouts = Trace(), MarkOuts()
    logbook = Logbook(markouts.on_fill)
    for topic in ("order.**", "portfolio.risk_limit"):
        desk.bus.subscribe(topic, trace.take)
        desk.bus.subscribe(topic, logbook.take)
    return SimulatedDesk(desk.engine, desk.kernel, portfolio, desk.bus, exchange, trace, logbook, markouts)


def open_books(
    exchange_id: str,
    currency: str,
    balances: Mapping[str, Decimal],
    markets: Mapping[str, SymbolMetadata],
    clock: Clock,
    view: ReplayView | LiveView,
    history: Sequence[Fill] = (),
) -> Portfolio:
    """The books of an account that began with `balances` and has traded `history` since."""
    portfolio = Portfolio(exchange_id, currency, balances, markets, view.mark, clock)
    view.portfolio = portfolio
    for fill in history:
        portfolio.apply(fill)
    return portfolio


def imagine(
    portfolio: Portfolio, markets: Mapping[str, SymbolMetadata], assumptions: Assumptions, clock: Clock
) -> SimulatedExchange:
    """An imagined exchange at which the account holds what our books say."""
    account = portfolio.account_state()
    return SimulatedExchange(
        portfolio.exchange,
        markets,
        {balance.asset: balance.total for balance in account.balances},
        assumptions.fees,
        assumptions.latency,
        assumptions.queue,
        assumptions.seed,
        clock,
        account.positions,
    )


def join(
    strategy: Strategy,
    markets: Mapping[str, SymbolMetadata],
    portfolio: Portfolio,
    gateway: Gateway,
    limits: LimitsConfig,
    store: Store,
    halt: HaltFlag,
    clock: Clock,
    view: ReplayView | LiveView,
    policy: Policy = _PATIENT,
) -> Desk:
    """Join a strategy, its books and a way to an exchange."""
    bus = Bus()
    allowed = in_currency(limits, portfolio.currency)
    gate = RiskGate(
        allowed,
        portfolio,
        markets,
        view.mark,
        lambda: kernel.working(),  # noqa: PLW0108 (the kernel is made after its gate)
        halt,
        clock,
    )
    kernel = ExchangeKernel(portfolio.exchange, store, gateway, gate, portfolio, markets, clock, policy)
    watch = None
    if halt.is_shared or allowed.max_loss is not None:
        watch = Watch(halt, lambda: loss_breached(portfolio, allowed), clock.now_ns())
    return Desk(Engine(kernel, strategy, markets, portfolio, view, clock, bus, watch), kernel, portfolio, bus)


def in_currency(limits: LimitsConfig, currency: str) -> Limits:
    """The limits of a configuration, in the account's currency; raises `ConfigError` for another one."""
    amounts = {}
    for name in ("max_order", "max_position", "max_exposure", "max_loss"):
        money = getattr(limits, name)
        if money is not None and money.currency != currency:
            raise ConfigError(
                f"limits.{name} is in {money.currency}, the account is in {currency}",
                todo=f'write it like "{money.amount} {currency}"',
            )
        amounts[name] = money.amount if money is not None else None
    return Limits(**amounts, max_open=limits.max_open, price_band=limits.price_band)
