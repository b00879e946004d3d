"""Admission: the only place where an order becomes `Approved`, and the one way into the kernel.

An order passes the market's own rules first, then our limits, then the user's own checks; the first
objection ends it.  Whatever works already, uncertain orders included, counts as alive.
What the checks are is `trading.checks`' business, how exposure adds up `trading.exposure`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Protocol

from quantcli.clock import Clock
from quantcli.errors import RiskRefused, ValidationError
from quantcli.model.instrument import SymbolMetadata, canonical
from quantcli.model.order import StandardOrder, Working
from quantcli.ports import Approved
from quantcli.trading.checks import ADVICE, STANDARD, VALIDITY, Check, Limits, View
from quantcli.trading.exposure import MarketTotal, minus, total, unit_price
from quantcli.trading.holding import EXACT, ZERO
from quantcli.trading.portfolio import Portfolio, why_uncounted

__all__ = ["BY_OPERATOR", "Check", "Halt", "Limits", "RiskGate", "View", "loss_breached"]


# The metadata of an order by which an operator closes a position, and means all of it.
BY_OPERATOR: Mapping[str, str] = {"operator": "flatten"}


class Halt(Protocol):
    """The kill flag: level 0 trades; from 1 on nothing may add exposure."""

    @property
    def level(self) -> int:
        """0 none, 1 no new exposure, 2 cancel all, 3 flatten."""
        ...

    @property
    def reason(self) -> str:
        """Who raised it and why."""
        ...


class RiskGate:
    """Every order's admission (`ports.Gate`).

    `working` lists what unsettled intents may still trade, `mark` values a symbol, `checks` are the user's
    own, named by their function names.
    """

    def __init__(
        self,
        limits: Limits,
        accounts: Portfolio,
        instruments: Mapping[str, SymbolMetadata],
        mark: Callable[[str], Decimal | None],
        working: Callable[[], Sequence[Working]],
        halt: Halt,
        clock: Clock,
        checks: Sequence[Check] = (),
    ) -> None:
        self._limits = limits
        self._accounts = accounts
        self._instruments = instruments
        self._mark = mark
        self._working = working
        self._halt = halt
        self._clock = clock
        self._forbidding = tuple(STANDARD.items()) + tuple((c.__name__, c) for c in checks)

    def admit(
        self,
        order: StandardOrder,
        metadata: Mapping[str, str],
        replaces: str | None = None,
        beside: Sequence[StandardOrder] = (),
        closes: StandardOrder | None = None,
    ) -> Approved:
        """Check an order; `replaces` is the intent whose exposure it takes over, `beside` are orders of its
        group: all may fill before one can cancel the others, so each counts in full.  An exit `closes` what
        its entry will have opened: it is checked as if it stood alone against that.

        Raises `ValidationError` for an order that the market's rules make impossible, `RiskRefused` (its
        subclass) for one that our limits, means or own checks forbid.  The quantity of a replacing
        order is a total: what the replaced one has filled is not counted again.
        """
        rules = self._rules(order)
        if "slot" in metadata and closes is None and self._halt.level > 1:
            # It would rest where one has just been cancelled for good; not even to reduce a position.
            raise _refused(order, "halt", f"trading is halted: {self._halt.reason or 'all is cancelled'}")
        with localcontext(EXACT):
            view = self._view(order, rules, replaces, beside, closes)
            for name, check in VALIDITY.items():
                reason = check(order, view, self._limits)
                if reason is not None:
                    raise _invalid(order, name, reason)
            for name, check in self._forbidding:
                if name == "max_order" and view.reduces and metadata == BY_OPERATOR:
                    continue
                reason = check(order, view, self._limits)
                if reason is not None:
                    raise _refused(order, name, reason)
        return Approved(order, dict(metadata))

    def _rules(self, order: StandardOrder) -> SymbolMetadata:
        rules = self._instruments.get(order.symbol)
        if rules is None:
            raise ValidationError(f"{order.symbol} is not a market of this exchange", todo="check the symbol")
        reason = why_uncounted(rules, self._accounts.currency)
        if reason is None and not rules.active:
            reason = f"{order.symbol} is closed for trading"
        if reason is not None:
            raise ValidationError(reason, todo="trade another market")
        return rules

    def _view(
        self,
        order: StandardOrder,
        rules: SymbolMetadata,
        replaces: str | None,
        beside: Sequence[StandardOrder],
        closes: StandardOrder | None,
    ) -> View:
        totals = {name: self._total(name) for name in (order.symbol, *self._accounts.held())}
        others, filled = [(other, other.quantity) for other in beside], ZERO
        for item in self._working():
            if item.intent_id == replaces:
                filled = item.filled
            else:
                others.append((item.order, item.remaining))
        for other, remaining in others:
            if other.symbol not in totals:
                totals[other.symbol] = self._total(other.symbol)
            totals[other.symbol].add(other, remaining)
        if closes is not None:
            totals[order.symbol] = self._opened(closes)
        here = totals[order.symbol]
        here.add(order, max(order.quantity - filled, ZERO))
        level = int(self._halt.level)
        return View(
            rules=rules,
            now_ns=self._clock.now_ns(),
            qty=here.qty,
            mark=here.mark,
            price=unit_price(order, here.mark),
            reduces=here.reduces(order),
            selling=here.sells.qty,
            open_orders=len(others) + 1,
            open_here=here.count,
            position=here.position(order.side),
            exposure=total(t.exposure() for t in totals.values()),
            free=minus(self._accounts.funds(), total(t.backing() for t in totals.values())),
            halt_level=level,
            halt_reason=self._halt.reason if level else "",
        )

    def _opened(self, entry: StandardOrder) -> MarketTotal:
        is_spot = not self._instruments[entry.symbol].symbol.is_futures
        return MarketTotal(entry.quantity * entry.side.sign, self._mark(entry.symbol), is_spot)

    def _total(self, symbol: str) -> MarketTotal:
        is_spot = not self._instruments[symbol].symbol.is_futures
        return MarketTotal(self._accounts.qty(symbol), self._mark(symbol), is_spot)


def loss_breached(portfolio: Portfolio, limits: Limits) -> str | None:
    """Why trading is to halt: the loss since the start has reached `max_loss`; `None` if it has not, or if a
    missing mark keeps it unknown."""
    worth = portfolio.equity()
    if limits.max_loss is None or worth is None:
        return None
    with localcontext(EXACT):
        loss = portfolio.start_equity - worth
    if loss < limits.max_loss:
        return None
    return f"loss of {loss:,.2f} {portfolio.currency} reached max_loss {canonical(limits.max_loss)}"


def _subject(order: StandardOrder) -> str:
    price = "" if order.price is None else f" at {canonical(order.price)}"
    return f"{order.symbol} {order.side.name.lower()} {canonical(order.quantity)}{price}"


def _invalid(order: StandardOrder, check: str, reason: str) -> ValidationError:
    return ValidationError(
        f"{_subject(order)}: {reason}",
        why=f"the rules of {order.symbol} make such a {check} impossible",
        todo="correct the order",
    )


def _refused(order: StandardOrder, check: str, reason: str) -> RiskRefused:
    why, todo = ADVICE.get(
        check, (f"the strategy's own check {check} forbids it", "change the order or the check")
    )
    return RiskRefused(f"{_subject(order)}: {reason}", check=check, why=why, todo=todo)
