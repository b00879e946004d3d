"""Binance's spot market as a dialect: the kernel's requests as calls, and answers as reports.

Each request is a conversation: it yields calls and is sent their answers, or has a `NoAnswer` thrown in.  An
order is accepted if an answer shows it under our client order id and one of the exchange's; it is refused if
the manifest says so of the error's code; everything else is `Silence`.  The sections named are those of
binance-spot-api-docs rest-api.md.  Sends nothing, signs nothing, waits for nothing.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from quantcli.codecs.binance_order_terms import order_type
from quantcli.codecs.binance_orders import BinanceOrders, CodecError
from quantcli.errors import ValidationError
from quantcli.model.instrument import Side, SymbolMetadata, canonical
from quantcli.model.message import (
    Amend,
    Asked,
    Cancel,
    Lookup,
    Observation,
    Place,
    PlaceList,
    Refusal,
    Refused,
    Report,
    Survey,
)
from quantcli.model.message import Request as KernelRequest
from quantcli.model.order import OrderType, StandardOrder, TimeInForce
from quantcli.model.venue import IdForm
from quantcli.venues.binance import calls
from quantcli.venues.binance.survey import survey
from quantcli.venues.calls import Answer, Call, Conversation, NoAnswer
from quantcli.venues.capabilities import check_order
from quantcli.venues.ids import spell, unspell
from quantcli.venues.manifest import Manifest
from quantcli.venues.verdict import Request, judge, sighting, unusable

UNSUPPORTED = "unsupported"  # the code of refusals that are our own
_STOPS = frozenset({OrderType.STOP_LIMIT, OrderType.STOP_MARKET})


class BinanceSpot:
    """The conversations of one account; `instruments` (by canonical name) may grow, `now_ns` is the
    exchange's time."""

    def __init__(
        self, manifest: Manifest, instruments: Mapping[str, SymbolMetadata], now_ns: Callable[[], int]
    ) -> None:
        self._manifest, self._instruments, self._now_ns = manifest, instruments, now_ns

    @property
    def orders(self) -> BinanceOrders:
        """The codec, for the instruments known now."""
        return BinanceOrders({rules.exchange_symbol: rules for rules in self._instruments.values()})

    def converse(self, request: KernelRequest) -> Conversation:
        """The conversation that a request of the kernel takes."""
        match request:
            case Place():
                return self.place(request)
            case PlaceList():
                return self.place_list(request)
            case Amend():
                return self.amend(request)
            case Cancel():
                return self.cancel(request)
            case Lookup():
                return self.look_up(request)
            case Survey():
                return survey(request, self._exchange_symbol(request.symbol), self.orders, self._now_ns)

    def fence(self, window_ms: int) -> dict[str, str]:
        """What keeps a signed call from being carried out later than so long after its timestamp ("Timing
        security")."""
        return {self._manifest.fence.parameter: str(window_ms)}

    # One order.

    def place(self, request: Place) -> Conversation:
        """POST /api/v3/order, once."""
        asked = Request(Asked.PLACE, request.client_order_id)
        try:
            call = self._placement(request)
        except ValidationError as error:
            return [_unsupported(asked, error)]
        return (yield from self._shown(asked, call))

    def _placement(self, request: Place) -> Call:
        order = request.order
        check_order(order, self._manifest)
        kind, lifetime = order_type(_without_end(order))
        terms = {
            "symbol": self._exchange_symbol(order.symbol),
            "side": order.side.name,
            "type": kind,
            "timeInForce": lifetime,
            "quantity": canonical(order.quantity),
            **_prices(order, "price", "stopPrice"),
            self._manifest.ids.parameter: self._spelt(request.client_order_id),
        }
        return calls.place(calls.given(terms), request.deadline_ns)

    def amend(self, request: Amend) -> Conversation:
        """PUT /api/v3/order/amend/keepPriority ("Order Amend Keep Priority"): a smaller total."""
        asked = Request(Asked.AMEND, request.client_order_id, number=request.number)
        name = self._spelt(request.client_order_id)
        call = calls.amend(
            self._exchange_symbol(request.order.symbol),
            name,
            canonical(request.order.quantity),
            request.deadline_ns,
        )
        return (yield from self._shown(asked, call))

    def cancel(self, request: Cancel) -> Conversation:
        """DELETE /api/v3/order, decided where orders are matched; one of a list takes the list along."""
        asked = Request(Asked.CANCEL, request.client_order_id, request.asked_ns)
        name = self._known_as(request.client_order_id)
        try:
            answer = yield calls.cancel(self._exchange_symbol(request.symbol), name)
        except NoAnswer as lost:
            return [asked.silence(lost.what, lost.sent)]
        others: list[Report] = []
        if _is_accepted(answer) and (seen := self._read_list(answer)):
            others = [each for each in seen if each.client_order_id != name]
            mine = next((each for each in seen if each.client_order_id == name), None)
            if mine is not None:
                return [sighting(asked, mine, answer, name), *others]
        return [self._verdict(asked, answer, name), *others]

    def look_up(self, request: Lookup) -> Conversation:
        """GET /api/v3/order, and GET /api/v3/myTrades of it if it has traded."""
        asked = Request(Asked.LOOKUP, request.client_order_id, request.asked_ns)
        symbol, name = self._exchange_symbol(request.symbol), self._known_as(request.client_order_id)
        try:
            answer = yield calls.look_up(symbol, name)
        except NoAnswer as lost:
            return [asked.silence(lost.what, lost.sent)]
        seen = self._verdict(asked, answer, name)
        if not isinstance(seen, Observation) or not seen.filled:
            return [seen]
        try:
            answer = yield calls.trades_of(symbol, seen.exchange_order_id)
            fills = self.orders.fills(answer.body) if _is_accepted(answer) else []
        except (NoAnswer, CodecError):
            fills = []  # what is missing shows in the cumulative quantity, and is asked for again
        mine = [fill for fill in fills if fill.exchange_order_id == seen.exchange_order_id]
        named = tuple(replace(fill, client_order_id=request.client_order_id) for fill in mine)
        return [replace(seen, fills=named)]

    def _shown(self, asked: Request, call: Call) -> Conversation:
        """Make a call whose answer shows the order that it is about."""
        try:
            answer = yield call
        except NoAnswer as lost:
            return [asked.silence(lost.what, lost.sent)]
        return [self._verdict(asked, answer, self._spelt(asked.client_order_id))]

    def _verdict(self, asked: Request, answer: Answer, name: str) -> Report:
        if _is_accepted(answer):
            try:
                return sighting(asked, self.orders.observation(answer.body), answer, name)
            except CodecError:
                pass
        return judge(asked, answer, self._manifest, self._now_ns())

    def _read_list(self, answer: Answer) -> list[Observation]:
        try:
            return self.orders.list_observations(answer.body)
        except CodecError:
            return []

    # Orders that the exchange links.

    def place_list(self, request: PlaceList) -> Conversation:
        """POST /api/v3/orderList/oco ("New Order list - OCO"), once: a post-only order and a stop."""
        asked = [Request(Asked.PLACE, place.client_order_id) for place in request.places]
        try:
            call = self._list_placement(request)
        except ValidationError as error:
            return [_unsupported(each, error) for each in asked]
        try:
            answer = yield call
        except NoAnswer as lost:
            return [each.silence(lost.what, lost.sent) for each in asked]
        listed = self._read_list(answer) if _is_accepted(answer) else []
        seen = {each.client_order_id: each for each in listed}
        reports: list[Report] = []
        for each in asked:
            name = self._spelt(each.client_order_id)
            if name in seen:
                reports.append(sighting(each, seen[name], answer, name))
            else:
                reports.append(self._list_refusal(each, answer))
        return reports

    def _list_refusal(self, asked: Request, answer: Answer) -> Report:
        told = judge(asked, answer, self._manifest, self._now_ns())
        if isinstance(told, Refusal) and told.kind is Refused.EXISTS:
            return asked.silence(unusable(answer, "one of the list exists; which is not said"))
        return told

    def _list_placement(self, request: PlaceList) -> Call:
        above, below = _above_and_below(request.places)
        order = above.order
        terms: dict[str, str | None] = {
            "symbol": self._exchange_symbol(order.symbol),
            "side": order.side.name,
            "quantity": canonical(order.quantity),
            "listClientOrderId": self._spelt(request.places[0].client_order_id),
        }
        for where, place in (("above", above), ("below", below)):
            check_order(place.order, self._manifest)
            kind, lifetime = order_type(_without_end(place.order))
            terms |= {
                f"{where}Type": kind,
                f"{where}TimeInForce": lifetime,
                f"{where}ClientOrderId": self._spelt(place.client_order_id),
                **_prices(place.order, f"{where}Price", f"{where}StopPrice"),
            }
        return calls.place_list(calls.given(terms), min(place.deadline_ns for place in request.places))

    # Names.

    def _known_as(self, client_order_id: str) -> str:
        """The id of an order that is there: one that was adopted keeps the id which somebody else gave it."""
        is_ours = unspell(client_order_id, IdForm.HEX) is not None
        return self._spelt(client_order_id) if is_ours else client_order_id

    def _spelt(self, client_order_id: str) -> str:
        return spell(client_order_id, self._manifest.ids.form)

    def _exchange_symbol(self, symbol: str) -> str:
        """Orders of a market that was not opened this time can still be looked up and cancelled."""
        rules = self._instruments.get(symbol)
        return rules.exchange_symbol if rules else symbol.replace("/", "")


def _without_end(order: StandardOrder) -> StandardOrder:
    """An order good till a date stays until the kernel cancels it: Binance's spot market ends none."""
    if order.time_in_force is not TimeInForce.GTD:
        return order
    return replace(order, time_in_force=TimeInForce.GTC, expire_ns=None)


def _prices(order: StandardOrder, price: str, stop_price: str) -> dict[str, str | None]:
    return {
        price: None if order.price is None else canonical(order.price),
        stop_price: None if order.stop_price is None else canonical(order.stop_price),
    }


def _above_and_below(places: tuple[Place, ...]) -> tuple[Place, Place]:
    """Which of two linked orders stands above the other: when selling the post-only one, when buying the
    stop.  Raises `ValidationError` for anything but one of each that share market, side and quantity."""
    stops = [place for place in places if place.order.type in _STOPS]
    makers = [place for place in places if place.order.type is OrderType.LIMIT_MAKER]
    shared = {(place.order.symbol, place.order.side, place.order.quantity) for place in places}
    if len(places) != 2 or len(stops) != 1 or len(makers) != 1 or len(shared) != 1:
        raise ValidationError(
            "Binance links a post-only order and a stop of one market, side and quantity, nothing else",
            todo='use the mode "one_live"',
        )
    (stop,), (maker,) = stops, makers
    return (maker, stop) if stop.order.side is Side.SELL else (stop, maker)


def _is_accepted(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _unsupported(asked: Request, error: ValidationError) -> Refusal:
    """A refusal of our own: no byte was sent, and none ever will be for such an order."""
    return Refusal(asked.client_order_id, asked.asked, UNSUPPORTED, error.what, Refused.FINAL)
