"""What we hold, by our own books: fills in; balances, positions and equity out.  Exact to the last digit.

    equity = start_equity + realised + unrealised - fees          always, as an identity of decimals

Spot: a fill moves cash and the base asset.  Linear futures: a fill moves a signed position, and its profit
goes to cash when realised.  A balance of a base asset that the account started with is a position whose
cost, and whose part of `start_equity`, is its first mark: the one seen when the account is first asked
for its value, or else the price of its first fill.
Fees: in the account's currency they are paid from cash; in the base asset of a spot market they shrink the
holding and are valued at the fill's price; those in other assets are tallied in `fees_by_asset` and
are no part of equity.
Knows nothing of orders or of exchanges; what orders lock is `trading.checks`' business.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, Inexact, localcontext

from quantcli.clock import Clock
from quantcli.errors import InvariantError, NotFoundError, ValidationError
from quantcli.model.account import AccountState, AssetBalance, Position
from quantcli.model.event import PositionEvent, PositionEventKind
from quantcli.model.instrument import Side, SymbolMetadata
from quantcli.model.order import Fill
from quantcli.trading.holding import EXACT, ZERO, Holding


def why_uncounted(rules: SymbolMetadata, currency: str) -> str | None:
    """Why an account in `currency` cannot count a market's profit exactly; `None` if it can."""
    paid_in = rules.symbol.settle if rules.symbol.is_futures else rules.symbol.quote
    if rules.inverse:
        return f"{rules.symbol.name} is an inverse contract, whose profit is no exact decimal"
    if paid_in != currency:
        return f"{rules.symbol.name} pays in {paid_in}, the account counts in {currency}"
    return None


class Portfolio:
    """The account on one exchange (`ports.Accounts`), counted in `currency`.

    `balances` are the amounts at the start, by asset; `mark` says what one unit of a symbol is worth now,
    `None` while that is unknown.
    """

    def __init__(
        self,
        exchange: str,
        currency: str,
        balances: Mapping[str, Decimal],
        instruments: Mapping[str, SymbolMetadata],
        mark: Callable[[str], Decimal | None],
        clock: Clock,
    ) -> None:
        self.exchange = exchange
        self.currency = currency
        self.fees_by_asset: dict[str, Decimal] = {}
        self._cash = self._start = balances.get(currency, ZERO)
        self._instruments = instruments
        self._mark = mark
        self._clock = clock
        self._holdings: dict[str, Holding] = {}
        self._other_assets: dict[str, Decimal] = {}
        for asset, amount in balances.items():
            symbol = f"{asset}/{currency}"
            if amount and symbol in instruments:
                self._holding(symbol).qty = amount
            elif asset != currency:
                self._other_assets[asset] = amount
        self._unmarked = set(self._holdings)

    # -- fills -----------------------------------------------------------------------------------

    def apply(self, fill: Fill) -> PositionEvent:
        """Count a fill.  One already counted, by (`symbol`, `trade_id`), changes nothing.

        The event is OPENED from flat, CLOSED to flat, else MODIFIED (a flip through zero included).
        Raises `NotFoundError` for an unknown market, `ValidationError` for one that cannot be counted in
        this currency, `InvariantError` for numbers beyond exact arithmetic.
        """
        symbol, now = fill.symbol, self._clock.now_ns()
        holding = self._holdings.get(symbol) or self._holding(symbol)
        before = holding.qty
        with localcontext(EXACT):
            if fill.trade_id not in holding.trade_ids:
                if symbol in self._unmarked:
                    mark = self._mark(symbol)
                    self._take_first_mark(symbol, fill.price if mark is None else mark)
                try:
                    self._count(fill, holding)
                except Inexact:
                    raise InvariantError(
                        f"fill {fill.trade_id} of {symbol} cannot be counted exactly",
                        why=f"the account would need more than {EXACT.prec} digits",
                    ) from None
                holding.trade_ids.add(fill.trade_id)
                holding.updated_ns = now
            position = self._position(symbol, holding)
        return PositionEvent(_kind(before, holding.qty), now, position)

    def _count(self, fill: Fill, holding: Holding) -> None:
        delta = fill.qty if fill.side is Side.BUY else -fill.qty
        profit = holding.trade(delta, fill.price)
        self._cash += -delta * fill.price if holding.is_spot else profit
        if fill.fee:
            self._pay_fee(fill, holding)

    def _pay_fee(self, fill: Fill, holding: Holding) -> None:
        fee, asset = fill.fee, fill.fee_asset
        if asset == self.currency:
            self._cash -= fee
            holding.fees += fee
        elif holding.is_spot and asset == self._instruments[fill.symbol].symbol.base:
            # The same as selling the fee's worth at the fill's price and paying with what that brings.
            holding.trade(-fee, fill.price)
            holding.fees += fee * fill.price
        else:
            self.fees_by_asset[asset] = self.fees_by_asset.get(asset, ZERO) + fee

    def _holding(self, symbol: str) -> Holding:
        rules = self._instruments.get(symbol)
        if rules is None:
            raise NotFoundError(f"{symbol} is not a market of this account", todo="quant recordings list")
        reason = why_uncounted(rules, self.currency)
        if reason:
            raise ValidationError(reason, todo=f"trade markets that pay in {self.currency}")
        holding = self._holdings[symbol] = Holding(not rules.symbol.is_futures)
        return holding

    def _take_first_mark(self, symbol: str, mark: Decimal) -> None:
        holding = self._holdings[symbol]
        holding.cost = holding.qty * mark
        self._start += holding.cost
        self._unmarked.discard(symbol)

    def _look_at_first_marks(self) -> None:
        for symbol in tuple(self._unmarked):
            mark = self._mark(symbol)
            if mark is not None:
                self._take_first_mark(symbol, mark)

    # -- positions -------------------------------------------------------------------------------

    def qty(self, symbol: str) -> Decimal:
        """Signed holding in base units, 0 when flat."""
        holding = self._holdings.get(symbol)
        return holding.qty if holding else ZERO

    def held(self) -> list[str]:
        """Symbols of which something is held."""
        return [symbol for symbol, holding in self._holdings.items() if holding.qty]

    def position(self, symbol: str) -> Position:
        """The position of a market; a flat one where nothing was ever held."""
        with localcontext(EXACT):
            self._look_at_first_marks()
            return self._position(symbol, self._holdings.get(symbol) or Holding(True))

    def positions(self, symbol_id: str | None = None) -> list[Position]:
        """Positions in order of symbol: every market held or traded, flat ones included."""
        with localcontext(EXACT):
            self._look_at_first_marks()
            return [
                self._position(symbol, holding)
                for symbol, holding in sorted(self._holdings.items())
                if symbol_id in (None, symbol)
            ]

    def _position(self, symbol: str, holding: Holding) -> Position:
        mark = self._mark(symbol)
        return Position(
            symbol,
            holding.qty,
            holding.avg_price(),
            holding.realised,
            holding.unrealised(mark) or ZERO,
            holding.fees,
            mark,
            holding.updated_ns,
        )

    # -- sums ------------------------------------------------------------------------------------

    @property
    def start_equity(self) -> Decimal:
        """What the account started with; a starting base balance counts from its first mark on."""
        with localcontext(EXACT):
            self._look_at_first_marks()
        return self._start

    @property
    def realised(self) -> Decimal:
        """Profit of everything closed so far, before fees."""
        return _total(h.realised for h in self._holdings.values())

    @property
    def fees(self) -> Decimal:
        """Fees paid, in the account's currency (rebates count against them)."""
        return _total(h.fees for h in self._holdings.values())

    def unrealised(self) -> Decimal | None:
        """Profit of what is held, at its marks; `None` while one is missing."""
        with localcontext(EXACT):
            self._look_at_first_marks()
            return self._value(lambda holding, mark: holding.unrealised(mark), ZERO)

    def equity(self) -> Decimal | None:
        """What the account is worth: cash, spot holdings at their marks, open profit of futures; `None`
        while a mark is missing."""
        with localcontext(EXACT):
            self._look_at_first_marks()
            return self._value(_worth, self._cash)

    def funds(self) -> Decimal | None:
        """Cash and the open profit of futures: what orders may be backed with.  Nothing is locked
        here; `None` while a future's mark is missing."""
        with localcontext(EXACT):
            return self._value(_open_profit, self._cash)

    def _value(
        self, of: Callable[[Holding, Decimal | None], Decimal | None], total: Decimal
    ) -> Decimal | None:
        for symbol, holding in self._holdings.items():
            if holding.qty:
                value = of(holding, self._mark(symbol))
                if value is None:
                    return None
                total += value
        return total

    def account_state(self) -> AccountState:
        """Balances, positions and equity now.  Our books hold totals, so `locked` is 0 in them: what open
        orders lock is for the exchange to say."""
        assets = {self.currency: self._cash}
        with localcontext(EXACT):
            for asset, amount in self._other_assets.items():
                assets[asset] = amount - self.fees_by_asset.get(asset, ZERO)
        for symbol, holding in self._holdings.items():
            if holding.is_spot:
                assets[self._instruments[symbol].symbol.base] = holding.qty
        return AccountState(
            self.exchange,
            self.currency,
            tuple(AssetBalance(asset, n, n, ZERO, n) for asset, n in sorted(assets.items())),
            tuple(self.positions()),
            self.equity(),
            self._clock.now_ns(),
        )


def _worth(holding: Holding, mark: Decimal | None) -> Decimal | None:
    if not holding.is_spot:
        return holding.unrealised(mark)
    return None if mark is None else holding.qty * mark


def _open_profit(holding: Holding, mark: Decimal | None) -> Decimal | None:
    return ZERO if holding.is_spot else holding.unrealised(mark)


def _total(amounts: Iterable[Decimal]) -> Decimal:
    with localcontext(EXACT):
        return sum(amounts, ZERO)


def _kind(before: Decimal, after: Decimal) -> PositionEventKind:
    if not after:
        return PositionEventKind.CLOSED if before else PositionEventKind.MODIFIED
    return PositionEventKind.MODIFIED if before else PositionEventKind.OPENED
