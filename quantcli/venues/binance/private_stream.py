"""Binance's user data stream: news of the account's orders, as they happen.

    connect -> subscribe (signed) -> accepted -> Missed -> observations … -> lost -> pause -> connect

What happens while there is no subscription is never told again, so each one that is accepted is followed by
`Missed`: from then on nothing is lost unseen, and what was before is asked for.  A message that cannot be
read may have been anything: it is followed by `Missed` too.  Messages are passed on as often and in the
order that they come; making sense of that is the kernel's art.  The stream ends when it is cancelled, and
for no other reason.

The one place where this stream is signed; the key is held, and never shown.
"""

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable

import msgspec

from quantcli.clock import NS_PER_MS, Clock
from quantcli.codecs.binance_orders import (
    BalanceNews,
    BinanceOrders,
    CodecError,
    Reply,
    StreamEnded,
    Unknown,
    UserEvent,
)
from quantcli.venues.backoff import Backoff
from quantcli.venues.calls import Credentials
from quantcli.venues.inbox import Inbox, Missed, Notice
from quantcli.venues.web_socket import SocketLost, WebSocket, open_socket

_METHOD = "userDataStream.subscribe.signature"
# errors.md: a clock that is off; a key or signature that is wrong, which no soon retry will mend.
_CLOCK_IS_OFF = -1021
_KEY_IS_WRONG = frozenset({-1002, -1022, -2008, -2014, -2015})


class StreamPolicy(msgspec.Struct, frozen=True):
    """Times of the stream, in seconds.

    `silent`       without a byte, pings included, the connection is dead (Binance pings every 20 s)
    `answer`       for connecting, and again for the answer to the subscription
    `lifetime`     a connection is renewed after that, before Binance ends it (24 h)
    `first_pause`  before trying again, doubling to `longest_pause`, …
    `stable`       … and short again after a subscription that lasted so long
    `at_once`      what the exchange ends in good order is renewed without a pause, but not more often
    `malformed`    messages that cannot be read are told of once in this time
    """

    silent: float = 60.0
    answer: float = 10.0
    lifetime: float = 23.5 * 3600
    first_pause: float = 0.2
    longest_pause: float = 30.0
    stable: float = 60.0
    at_once: float = 5.0
    malformed: float = 1.0
    window_ms: int = 5_000


class _Ended(Exception):
    """A subscription came to its end in good order, or was never accepted."""

    def __init__(self, reason: str, renew: bool = False, hold_off: bool = False) -> None:
        super().__init__(reason)
        self.renew, self.hold_off = renew, hold_off


class PrivateStream:
    """The stream of one account.

    `server_clock` is the exchange's, as far as known.  `dice` gives numbers from 0 to 1 for the pauses;
    `on_clock_doubt` is called when the exchange finds our time wrong.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        codec: BinanceOrders,
        server_clock: Clock,
        inbox: Inbox,
        policy: StreamPolicy | None = None,
        *,
        dice: Callable[[], float] = lambda: 0.5,
        on_clock_doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self.policy = policy or StreamPolicy()
        self.subscribed = asyncio.Event()
        self.connections = 0
        self.malformed = 0
        self.unknown: Counter[str] = Counter()
        self._url, self._credentials, self._codec = url, credentials, codec
        self._clock, self._inbox, self._on_clock_doubt = server_clock, inbox, on_clock_doubt
        self._backoff = Backoff(self.policy.first_pause, self.policy.longest_pause, dice)
        self._last_id = 0
        self._lost = ""
        self._subscribed_s = 0.0
        self._renewed_s = -self.policy.at_once
        self._told = ""
        self._resync: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "subscribed" if self.subscribed.is_set() else "not subscribed"
        return f"PrivateStream({self._url}, {state})"

    async def run(self) -> None:
        """Keep the stream up until cancelled."""
        try:
            while True:
                pause_s = await self._once()
                await asyncio.sleep(pause_s)
        finally:
            if self._resync is not None:
                self._resync.cancel()

    async def _once(self) -> float:
        """One connection, from beginning to end; how long to wait before the next."""
        pause_s = 0.0
        try:
            await self._connected()
        except SocketLost as lost:
            reason, renew, pause_s = str(lost), False, lost.retry_after_s
        except _Ended as ended:
            reason, renew = str(ended), ended.renew
            if ended.hold_off:
                self._backoff.hold_off()
        now_s = asyncio.get_running_loop().time()
        if self.subscribed.is_set():
            self.subscribed.clear()
            if now_s - self._subscribed_s >= self.policy.stable:
                self._backoff.reset()
        self._lost = self._lost or reason
        if reason != self._told:
            self._told = reason
            self._inbox.put(Notice("reconnect", f"private stream: {reason}"))
        if renew and now_s - self._renewed_s >= self.policy.at_once:
            self._renewed_s = now_s
            return 0.0
        return max(pause_s, self._backoff.next())

    async def _connected(self) -> None:
        """Raises `SocketLost` or `_Ended`, never returns."""
        policy = self.policy
        socket = await open_socket(self._url, timeout_s=policy.answer, silent_s=policy.silent)
        self.connections += 1
        try:
            await self._subscribe(socket)
            try:
                async with asyncio.timeout(policy.lifetime):
                    while True:
                        self._pass_on(self._read(await socket.receive()))
            except TimeoutError:
                raise _Ended("renewed before its time is up", renew=True) from None
        finally:
            await socket.shut()

    async def _subscribe(self, socket: WebSocket) -> None:
        self._last_id += 1
        await socket.say(self._request(self._last_id))
        try:
            async with asyncio.timeout(self.policy.answer):
                while not isinstance(event := self._read(await socket.receive()), Reply) or (
                    event.id != self._last_id
                ):
                    self._pass_on(event)
        except TimeoutError:
            raise _Ended("the subscription was not answered") from None
        if event.status != 200:
            raise self._refused(event)
        self._subscribed_s = asyncio.get_running_loop().time()
        self._inbox.put(
            Missed(f"private stream was down: {self._lost}" if self._lost else "private stream is up")
        )
        self._lost = self._told = ""
        self.subscribed.set()

    def _request(self, number: int) -> str:
        """web-socket-api.md, SIGNED request example (HMAC): the parameters sorted by name and joined by &."""
        params: dict[str, str | int] = {
            "apiKey": self._credentials.api_key,
            "recvWindow": self.policy.window_ms,
            "timestamp": self._clock.now_ns() // NS_PER_MS,
        }
        payload = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
        digest = hmac.new(self._credentials.secret.encode(), payload.encode(), hashlib.sha256)
        params["signature"] = digest.hexdigest()
        return msgspec.json.encode({"id": number, "method": _METHOD, "params": params}).decode()

    def _refused(self, reply: Reply) -> _Ended:
        code, message = reply.error or (0, "")
        if code == _CLOCK_IS_OFF:
            self._on_clock_doubt()
        hold_off = code in _KEY_IS_WRONG or reply.status in (403, 418, 429)
        return _Ended(f"the subscription was refused: {reply.status} {code} {message}", hold_off=hold_off)

    # Messages.

    def _read(self, frame: bytes) -> UserEvent | None:
        """What a message says; `None` if it cannot be read."""
        try:
            return self._codec.event(frame)
        except CodecError as error:
            self.malformed += 1
            if self._resync is None:
                self._inbox.put(Notice("malformed", f"a message of the private stream: {error}"))
                self._inbox.put(Missed("a message of the private stream could not be read"))
                later = asyncio.get_running_loop().call_later
                self._resync = later(self.policy.malformed, self._after_malformed, self.malformed)
            return None

    def _after_malformed(self, known: int) -> None:
        """What could not be read since the last `Missed` may be newer than what was asked for then."""
        self._resync = None
        if self.malformed > known:
            more = self.malformed - known
            self._inbox.put(Missed(f"{more} more messages of the private stream could not be read"))

    def _pass_on(self, event: UserEvent | None) -> None:
        match event:
            case None | Reply():
                pass
            case StreamEnded():
                raise _Ended(f"the exchange ended it: {event.reason}", renew=True)
            case Unknown():
                self.unknown[event.kind] += 1
            case BalanceNews():
                if event.delta is not None:
                    text = f"{event.delta:+f} {event.asset} without a trade (deposit, withdrawal, transfer)"
                    self._inbox.put(Notice("balance", text))
            case _:
                self._inbox.put(event)
