"""Figures of a running bot: how long things take, what limits are used, how its connections are.

Who trades tells, all on one thread:

    gauges = Gauges(clock)          the clock that the kernel has
    gauges.market(event)            before the strategy sees a market event; costs next to nothing
    gauges.handled()                after it: what is wished from then on no market event has caused
    gauges.take(event)              every event of `session.listen`
    gauges.note(notice)             every `Notice` of the inbox, and every `Missed`
    gauges.sampled(name, ms)        anything else that takes time, under one of the names below or another

and asks when somebody wants to know:

    gauges.health(budgets=venue.budget_lines(), links=venue.links(), database=…, …)
    gauges.feed_age_ms(), rate_used(venue.budget_lines())       for `wire.Status`
    gauges.counts                   how often what has happened to orders, by kind

Measures by the times that events carry; memory is bounded.  Decides nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from quantcli.clock import NS_PER_MS, NS_PER_S, Clock
from quantcli.model.event import Event, OrderEvent, OrderEventKind
from quantcli.model.market import AggTrade, BookUpdate, MarketEvent, Ticker, Trade
from quantcli.runtime.control.links import MARKET, Links
from quantcli.runtime.control.machine import Machine
from quantcli.runtime.control.quantiles import Durations
from quantcli.runtime.control.wire import BudgetLine, Health, Latency
from quantcli.venues.inbox import Missed, Notice
from quantcli.venues.limit_rules import Usage

FEED_AGE = "book feed age"
TICK_TO_INTENT = "tick -> intent"
SUBMIT_TO_ACK = "submit -> ack"
CANCEL_TO_GONE = "cancel -> gone"
DRIFT_TO_SYNC = "drift -> in sync"

# Of market data, one in so long is measured.
_SAMPLE_NS = NS_PER_S // 20
# Submissions that are remembered until they are answered, and names of our own that may be measured.
_MOST_OPEN = 4096
_MOST_NAMES = 32
_SHARES = (0.50, 0.95, 0.99)
# What carries the time at which the exchange said it; a candle carries others.
_TIMED = (Trade, AggTrade, Ticker, BookUpdate)


class Gauges:
    """Of one bot; `offset_ns` is how far the exchange's clock is ahead of `clock`, as far as known."""

    def __init__(self, clock: Clock, machine: Machine | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self.offset_ns = 0
        self._clock, self._machine, self._links = clock, machine or Machine(), Links()
        names = (FEED_AGE, TICK_TO_INTENT, SUBMIT_TO_ACK, CANCEL_TO_GONE, DRIFT_TO_SYNC)
        self._durations = {name: Durations() for name in names}
        self._submitted: dict[str, tuple[str, int]] = {}  # by intent: the attempt, and when
        self._started_ns = clock.now_ns()
        self._age_ms: float | None = None
        self._seen_ns = self._cause_ns = self._next_sample_ns = self._next_turn_ns = 0

    # What happens.

    def market(self, event: MarketEvent) -> None:
        """A market event is about to be handled."""
        self._seen_ns = self._cause_ns = event.local_ns
        if event.local_ns >= self._next_sample_ns:
            self._sample(event)

    def handled(self) -> None:
        """The last market event is done with."""
        self._cause_ns = 0

    def _sample(self, event: MarketEvent) -> None:
        if not event.exchange_ns and event.local_ns < self._next_turn_ns:
            return
        self._next_turn_ns = event.local_ns + _SAMPLE_NS
        self._links.turn(MARKET, True, event.local_ns)
        is_snapshot = isinstance(event, BookUpdate) and event.is_snapshot  # asked for, not sent
        if isinstance(event, _TIMED) and event.exchange_ns and not is_snapshot:
            self._next_sample_ns = event.local_ns + _SAMPLE_NS
            age_ns = event.local_ns + self.offset_ns - event.exchange_ns
            self._age_ms = max(0.0, age_ns / NS_PER_MS)
            self._took(FEED_AGE, age_ns, event.local_ns)

    def take(self, event: Event) -> None:
        """Something happened to an order, or to money."""
        if isinstance(event, OrderEvent):
            self.counts[event.kind.value] += 1
            self._order(event)

    def note(self, notice: Notice | Missed) -> None:
        """Something was remarked about the connections."""
        self._links.note(notice, self._clock.now_ns())

    def sampled(self, name: str, ms: float) -> None:
        """Something took so long."""
        if name not in self._durations and len(self._durations) >= _MOST_NAMES:
            return
        self._durations.setdefault(name, Durations()).add(ms, self._clock.now_ns())

    def _order(self, event: OrderEvent) -> None:
        match event.kind:
            case OrderEventKind.SUBMITTED:
                self._was_submitted(event)
            case OrderEventKind.ACCEPTED | OrderEventKind.MODIFIED:
                self._was_acknowledged(event)
                self._came_in_sync(event)
            case OrderEventKind.CANCELLED:
                self._was_cancelled(event)
        if event.intent.phase.is_terminal:
            self._submitted.pop(event.intent.intent_id, None)

    def _was_submitted(self, event: OrderEvent) -> None:
        intent, state = event.intent, event.state
        if state is None:
            return
        self._submitted.pop(intent.intent_id, None)
        self._submitted[intent.intent_id] = state.client_order_id, event.at_ns
        if len(self._submitted) > _MOST_OPEN:
            del self._submitted[next(iter(self._submitted))]
        if state.attempt == 1 and 0 < self._cause_ns <= intent.created_ns:
            self._took(TICK_TO_INTENT, intent.created_ns - self._cause_ns, event.at_ns)

    def _was_acknowledged(self, event: OrderEvent) -> None:
        client_order_id, sent_ns = self._submitted.get(event.intent.intent_id, ("", 0))
        if event.state is not None and event.state.client_order_id == client_order_id:
            del self._submitted[event.intent.intent_id]
            self._took(SUBMIT_TO_ACK, event.at_ns - sent_ns, event.at_ns)

    def _came_in_sync(self, event: OrderEvent) -> None:
        """The exchange works what is wished; an intent keeps the time at which it was last changed."""
        intent, state = event.intent, event.state
        if intent.phase.is_wanted and state is not None and state.generation == intent.generation:
            since_ns = intent.created_ns if intent.generation == 1 else intent.updated_ns
            self._took_since(DRIFT_TO_SYNC, since_ns, event.at_ns)

    def _was_cancelled(self, event: OrderEvent) -> None:
        if event.state is not None and event.state.cancel_sent_ns:
            self._took_since(CANCEL_TO_GONE, event.state.cancel_sent_ns, event.at_ns)

    def _took_since(self, name: str, since_ns: int, now_ns: int) -> None:
        """What was begun by an earlier run has waited for us, not for the exchange."""
        if since_ns >= self._started_ns:
            self._took(name, now_ns - since_ns, now_ns)

    def _took(self, name: str, elapsed_ns: int, now_ns: int) -> None:
        self._durations[name].add(elapsed_ns / NS_PER_MS, now_ns)

    # What is asked.

    def feed_age_ms(self) -> float | None:
        """How old the newest market data are by now; `None` before any that says when it was sent."""
        if self._age_ms is None:
            return None
        return self._age_ms + max(0, self._clock.now_ns() - self._seen_ns) / NS_PER_MS

    def latencies(self) -> tuple[Latency, ...]:
        """How long things took lately."""
        now_ns = self._clock.now_ns()
        return tuple(_latency(name, each, now_ns) for name, each in self._durations.items())

    def health(
        self,
        *,
        budgets: Iterable[Usage] = (),
        links: Mapping[str, bool] | None = None,
        checks: Mapping[str, int] | None = None,
        database: Path | None = None,
        loop_lag_ms: float = 0.0,
        strategy_errors: int = 0,
        problems: Iterable[str] = (),
    ) -> Health:
        """Everything that is known now, with what others know: what `budgets` and `links` (up or not) of the
        account are, which promises were checked how often, how late the loop is."""
        burden = self._machine.look(database)
        return Health(
            latencies=self.latencies(),
            budgets=budget_lines(budgets),
            links=self._links.lines(links or {}, self._clock.now_ns()),
            checks=dict(checks or {}),
            rss_mb=burden.rss_mb,
            cpu_share=burden.cpu_share,
            loop_lag_ms=loop_lag_ms,
            database_mb=burden.database_mb,
            strategy_errors=strategy_errors,
            problems=tuple(problems),
        )


def budget_lines(budgets: Iterable[Usage]) -> tuple[BudgetLine, ...]:
    """Request limits as they travel."""
    return tuple(
        BudgetLine(each.kind, each.used, each.limit, each.interval_s, each.reset_s, each.waiting)
        for each in budgets
    )


def rate_used(budgets: Iterable[Usage]) -> float | None:
    """How much of the request limit that is used most, 0..1; `None` where there is none."""
    return max((each.used / each.limit for each in budgets if each.limit > 0), default=None)


def _latency(name: str, durations: Durations, now_ns: int) -> Latency:
    p50, p95, p99 = durations.percentiles(_SHARES, now_ns)
    return Latency(
        name,
        durations.count(now_ns),
        p50,
        p95,
        p99,
        durations.worst(now_ns),
        durations.recent(now_ns),
        durations.total,
        durations.sum_ms,
    )
