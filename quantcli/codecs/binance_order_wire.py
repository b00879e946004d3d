"""Binance's spot orders, trades and account as typed structs: what REST and the user data stream send.

Every struct shows a real message; fields that nobody needs are skipped while decoding.  Numbers are exact,
and checked to be numbers an account can hold.  What a message means is `binance_orders`' business.
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

# Milliseconds, or microseconds, of a year with four digits; nothing that a database could not hold.
Stamp = Annotated[int, msgspec.Meta(ge=0, lt=10**16)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Side = Literal["BUY", "SELL"]

_LARGEST, _SMALLEST = 30, -30


def check(*numbers: Decimal | None) -> None:
    """Raise `ValueError` for what is no amount: NaN, infinities, less than zero, beyond 10^±30."""
    for number in numbers:
        if number is None:
            continue
        if not number.is_finite() or number < 0:
            raise ValueError(f"{number} is no amount")
        if number.adjusted() > _LARGEST or int(number.as_tuple().exponent) < _SMALLEST:
            raise ValueError("a number is out of all proportion")


class WireOrderFill(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """An execution in the FULL answer to a placement; it happened at once, so as a taker:

    {"price":"4000.00000000","qty":"1.00000000","commission":"4.00000000","commissionAsset":"USDT",
     "tradeId":56}
    """

    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    trade_id: Id

    def __post_init__(self) -> None:
        """See `check`."""
        check(self.price, self.qty, self.commission)


class WireOrder(msgspec.Struct, frozen=True, rename="camel"):
    """An order in an answer: to placing (ACK, RESULT, FULL), cancelling or querying it.

    {"symbol":"LTCBTC","orderId":1,"orderListId":-1,"clientOrderId":"myOrder1","price":"0.1","origQty":"1.0",
     "executedQty":"0.0","cummulativeQuoteQty":"0.0","status":"NEW","timeInForce":"GTC","type":"LIMIT",
     "side":"BUY","stopPrice":"0.0","icebergQty":"0.0","time":1499827319559,"updateTime":1499827319559,
     "isWorking":true,"workingTime":1499827319559,"origQuoteOrderQty":"0.000000",
     "selfTradePreventionMode":"NONE"}                                                       querying
    {"symbol":"LTCBTC","origClientOrderId":"myOrder1","orderId":4,"orderListId":-1,
     "clientOrderId":"cancelMyOrder1","transactTime":1684804350068,"price":"2.00000000",…,
     "status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"BUY",…}                  cancelling
    {"symbol":"BTCUSDT","orderId":28,"orderListId":-1,"clientOrderId":"6gCrw2kRUAF9CvJDGP16IP",
     "transactTime":1507725176595}                                                           ACK

    An ACK has no status.  A cancel gets a client order id of its own, so `clientOrderId` is then not the
    order's.  Inside the answer to an amendment the quantity is called `qty`.
    """

    symbol: str
    order_id: Id
    client_order_id: str
    orig_client_order_id: str = ""
    transact_time: Stamp = 0
    update_time: Stamp = 0
    time: Stamp = 0
    price: Decimal | None = None
    orig_qty: Decimal | None = None
    qty: Decimal | None = None
    executed_qty: Decimal | None = None
    stop_price: Decimal | None = None
    trailing_delta: int | None = None
    status: str = ""
    time_in_force: str = ""
    type: str = ""
    side: Side | None = None
    fills: tuple[WireOrderFill, ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible numbers, and a status without a quantity executed."""
        check(self.price, self.orig_qty, self.qty, self.executed_qty, self.stop_price)
        if self.status and self.executed_qty is None:
            raise ValueError("an order with a status has an executedQty")


class WireAmendment(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to `PUT /api/v3/order/amend/keepPriority`:

    {"transactTime":1741926410255,"executionId":75,"amendedOrder":{"symbol":"BTCUSDT","orderId":33,
     "orderListId":-1,"origClientOrderId":"5xrgbMyg6z36NzBn2pbT8H","clientOrderId":"PFaq6hIHxqFENGfdtn4J6Q",
     "price":"6.00000000","qty":"5.00000000","executedQty":"0.00000000","preventedQty":"0.00000000",
     "quoteOrderQty":"0.00000000","cumulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC",
     "type":"LIMIT","side":"SELL","workingTime":1741926410242,"selfTradePreventionMode":"NONE"}}
    """

    transact_time: Stamp
    amended_order: WireOrder


class WireList(msgspec.Struct, frozen=True, rename="camel"):
    """The answer to placing, cancelling or querying an order list, of which only this is read:

    {"orderListId":1929,"contingencyType":"OCO","listStatusType":"ALL_DONE","listOrderStatus":"ALL_DONE",…,
     "orders":[…],"orderReports":[{"symbol":"BTCUSDT","origClientOrderId":"CwOOIPHSmYywx6jZX77TdL",
     "orderId":20,"orderListId":1929,"clientOrderId":"pXLV6Hz6mprAcVYpVMTGgx",…}]}
    """

    order_reports: tuple[WireOrder, ...]


class Peek(msgspec.Struct, frozen=True, rename="camel"):
    """Which of the answers above a body is."""

    amended_order: msgspec.Raw = msgspec.Raw()
    order_reports: msgspec.Raw = msgspec.Raw()


class WireTradeFill(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One entry of `GET /api/v3/myTrades`; the client order id is not repeated there:

    {"symbol":"BNBBTC","id":28457,"orderId":100234,"orderListId":-1,"price":"4.00000100","qty":"12.00000000",
     "quoteQty":"48.000012","commission":"10.10000000","commissionAsset":"BNB","time":1499865549590,
     "isBuyer":true,"isMaker":false,"isBestMatch":true}
    """

    symbol: str
    id: Id
    order_id: Id
    price: Decimal
    qty: Decimal
    commission: Decimal
    commission_asset: str
    time: Stamp
    is_buyer: bool
    is_maker: bool

    def __post_init__(self) -> None:
        """See `check`."""
        check(self.price, self.qty, self.commission)


class WireBalance(msgspec.Struct, frozen=True, gc=False):
    """One entry of `balances`: `{"asset":"BTC","free":"4723846.89208129","locked":"0.00000000"}`."""

    asset: str
    free: Decimal
    locked: Decimal

    def __post_init__(self) -> None:
        """See `check`."""
        check(self.free, self.locked)


class WireAccount(msgspec.Struct, frozen=True):
    """The answer to `GET /api/v3/account`, of which only this is read: `{…,"balances":[…],…}`."""

    balances: tuple[WireBalance, ...]


class WireExecution(
    msgspec.Struct,
    frozen=True,
    rename={
        "symbol": "s",
        "client_order_id": "c",
        "orig_client_order_id": "C",
        "side": "S",
        "type": "o",
        "time_in_force": "f",
        "qty": "q",
        "price": "p",
        "stop_price": "P",
        "trailing_delta": "d",
        "execution": "x",
        "status": "X",
        "reason": "r",
        "order_id": "i",
        "last_qty": "l",
        "executed_qty": "z",
        "last_price": "L",
        "commission": "n",
        "commission_asset": "N",
        "time": "T",
        "trade_id": "t",
        "is_maker": "m",
        "expiry_reason": "eR",
    },
):
    """`executionReport`, the news of an order:

    {"e":"executionReport","E":1759347763167,"s":"ETHUSDT","c":"O-12345-test-trade","S":"BUY","o":"LIMIT",
     "f":"GTC","q":"1.00000000","p":"2500.00000000","P":"0.00000000","F":"0.00000000","g":-1,"C":"",
     "x":"TRADE","X":"PARTIALLY_FILLED","r":"NONE","i":1234567890,"l":"0.50000000","z":"0.50000000",
     "L":"2499.50000000","n":"0.00050000","N":"ETH","T":1759347763167,"t":98765432,"I":4644480641,"w":true,
     "m":true,"M":false,"O":1759347763100,"Z":"1249.75000000","Y":"1249.75000000","Q":"0.00000000"}

    `C` is the id of the order that a cancel or an amendment was about; `c` is then what that request gave
    it.  Nothing was traded where `t` is -1.
    """

    symbol: str
    client_order_id: str
    side: Side
    type: str
    time_in_force: str
    qty: Decimal
    price: Decimal
    stop_price: Decimal
    execution: str
    status: str
    order_id: Id
    executed_qty: Decimal
    time: Stamp
    orig_client_order_id: str = ""
    trailing_delta: int | None = None
    reason: str = "NONE"
    expiry_reason: str = ""
    last_qty: Decimal = Decimal(0)
    last_price: Decimal = Decimal(0)
    commission: Decimal = Decimal(0)
    commission_asset: str | None = None
    trade_id: int = -1
    is_maker: bool = False

    def __post_init__(self) -> None:
        """See `check`."""
        check(
            self.qty,
            self.price,
            self.stop_price,
            self.executed_qty,
            self.last_qty,
            self.last_price,
            self.commission,
        )


class WireHolding(msgspec.Struct, frozen=True, gc=False, rename={"asset": "a", "free": "f", "locked": "l"}):
    """One entry of `B`: `{"a":"ETH","f":"10000.000000","l":"0.000000"}`."""

    asset: str
    free: Decimal
    locked: Decimal

    def __post_init__(self) -> None:
        """See `check`."""
        check(self.free, self.locked)


class WirePosition(msgspec.Struct, frozen=True, rename={"time": "u", "holdings": "B"}):
    """`outboundAccountPosition`: what the account holds now of the assets that may have changed.

    {"e":"outboundAccountPosition","E":1564034571105,"u":1564034571073,
     "B":[{"a":"ETH","f":"10000.000000","l":"0.000000"}]}
    """

    time: Stamp
    holdings: tuple[WireHolding, ...]


class WireTransfer(msgspec.Struct, frozen=True, gc=False, rename={"asset": "a", "delta": "d", "time": "T"}):
    """`balanceUpdate`: a deposit, a withdrawal, a transfer between accounts.

    {"e":"balanceUpdate","E":1573200697110,"a":"BTC","d":"100.00000000","T":1573200697068}
    """

    asset: str
    delta: Decimal
    time: Stamp

    def __post_init__(self) -> None:
        """See `check`; this one may be less than zero."""
        check(abs(self.delta))


class WireError(msgspec.Struct, frozen=True):
    """`{"code":-2010,"msg":"Account has insufficient balance for requested action."}`"""

    code: int
    msg: str


class Envelope(msgspec.Struct, frozen=True, rename={"kind": "e"}):
    """What a frame of a private socket holds; of these fields it has one group.

    {"subscriptionId":0,"event":{"e":"executionReport",…}}                      ws-api
    {"stream":"…","data":{"e":"executionReport",…}}                             combined stream
    {"e":"executionReport",…}                                                   bare
    {"id":1,"status":200,"result":{"subscriptionId":0},"rateLimits":[…]}        reply
    {"id":1,"status":400,"error":{"code":-1022,"msg":"Signature for this request is not valid."}}
    """

    kind: str = ""
    event: msgspec.Raw = msgspec.Raw()
    data: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    status: int | None = None
    error: WireError | None = None
