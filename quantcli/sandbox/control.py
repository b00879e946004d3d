"""Ground truth and control, under `/sandbox/`: what really happened, and what an exchange's staff could do.

For tests and for people who try their programs out; no authentication, because only loopback reaches it.
JSON in and out; an error is told as `what`, `why`, `todo`.
"""

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from quantcli.clock import NS_PER_MS, NS_PER_S
from quantcli.errors import QuantError, UsageError
from quantcli.model.instrument import to_decimal
from quantcli.sandbox.dispatch import Reply
from quantcli.sandbox.errors import ApiError
from quantcli.sandbox.faults.rules import read_plan
from quantcli.sandbox.venue import Feed, Venue
from quantcli.sandbox.venue_account import VenueAccount
from quantcli.sandbox.weights import Weights

PREFIX = "/sandbox/"
Body = Mapping[str, Any]
# Moves a market: symbol, bid, ask.
Move = Callable[[str, Decimal, Decimal], None]


class Control:
    """Answers requests under `/sandbox/`.

    `limits` are those of `spot` and `futures`, `call_names` are the names of calls that a fault plan may use,
    `move` moves a market where that is possible, `stop` ends the program.
    """

    def __init__(
        self,
        venue: Venue,
        feed: Feed,
        limits: Mapping[str, Weights],
        call_names: Collection[str],
        move: Move | None,
        stop: Callable[[], None],
    ) -> None:
        self._venue = venue
        self._feed = feed
        self._limits = limits
        self._move = move
        self._call_names = call_names
        self._stop = stop
        self._acts: dict[tuple[str, str], Callable[[Body], Any]] = {
            ("GET", "truth"): self._truth,
            ("GET", "calls"): lambda _: dict(self._venue.calls),
            ("GET", "chaos"): lambda _: self._venue.chaos.log(),
            ("POST", "chaos"): self._replace_chaos,
            ("GET", "feed"): lambda _: self._feed_state(),
            ("POST", "feed"): self._steer_feed,
            ("POST", "fill"): self._fill,
            ("POST", "cancel"): self._cancel,
            ("POST", "clock"): self._jump,
            ("POST", "transfer"): self._transfer,
            ("POST", "order"): self._foreign_order,
            ("POST", "permissions"): self._restrict,
            ("POST", "weight"): self._use_up,
            ("POST", "disconnect"): self._disconnect,
            ("POST", "terminate"): lambda _: {"terminated": self._venue.terminate()},
            ("POST", "quote"): self._quote,
            ("POST", "stop"): self._end,
        }

    def answer(self, method: str, path: str, body: str) -> Reply:
        """Carry out one request."""
        act = self._acts.get((method, path.removeprefix(PREFIX).strip("/")))
        if act is None:
            known = ", ".join(f"{verb} {PREFIX}{name}" for verb, name in self._acts)
            return _reply(404, {"what": f"there is no {method} {path}", "why": f"there are {known}"})
        try:
            found = act(_table(body))
        except ApiError as error:
            return _reply(400, {"what": error.message, "why": f"code {error.code}", "todo": ""})
        except QuantError as error:
            return _reply(400, {"what": error.what, "why": error.why, "todo": error.todo})
        self._venue.settle()
        return _reply(200, found)

    def _truth(self, _: Body) -> Any:
        clock = self._venue.clock
        spot, futures = self._venue.spot.account.truth(), self._venue.futures.account.truth()
        joined = {name: spot[name] + futures[name] for name in ("orders", "fills")}
        own = {name: value for name, value in futures.items() if name not in (*joined, "lists")}
        return (
            spot
            | joined
            | {
                "futures": own,
                "server_time_ms": clock.now_ns() // NS_PER_MS,
                "clock_offset_s": clock.offset_ns / NS_PER_S,
                "sockets": sorted(socket.purpose for socket in self._venue.sockets),
            }
        )

    def _replace_chaos(self, body: Body) -> Any:
        self._venue.chaos.replace(read_plan(body, self._call_names))
        return {"rules": len(self._venue.chaos.rules)}

    def _feed_state(self) -> Any:
        return {
            "held": self._feed.is_held,
            "done": self._feed.is_done,
            "events": self._feed.events,
            "speed": self._feed.speed,
        }

    def _steer_feed(self, body: Body) -> Any:
        _only(body, "start", "speed")
        if "speed" in body:
            speed = body["speed"]
            if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0 <= speed <= 1_000_000:
                raise UsageError(
                    f"speed = {speed!r} is not a speed", todo="1 is real time, 0 as fast as can be"
                )
            self._feed.speed = float(speed)
        if body.get("start"):
            self._feed.start()
        return self._feed_state()

    def _fill(self, body: Body) -> Any:
        _only(body, "orderId", "qty", "all")
        if body.get("all"):
            accounts = (self._venue.spot.account, self._venue.futures.account)
            return {"filled": sum(account.fill_all() for account in accounts)}
        qty = None if "qty" not in body else _amount(body, "qty")
        order_id = _order_id(body)
        self._venue.account_of(order_id).fill(order_id, qty)
        return {"filled": 1}

    def _cancel(self, body: Body) -> Any:
        _only(body, "orderId")
        order_id, futures = _order_id(body), self._venue.futures.account
        if (algo := futures.algos.orders.get(order_id)) is not None:
            futures.cancel_algo(algo)
        else:
            self._venue.account_of(order_id).cancel_by_hand(order_id)
        return {"cancelled": 1}

    def _jump(self, body: Body) -> Any:
        _only(body, "jump_s")
        self._venue.clock.jump(float(_amount(body, "jump_s")))
        return {"offset_s": self._venue.clock.offset_ns / NS_PER_S}

    def _transfer(self, body: Body) -> Any:
        _only(body, "asset", "amount", "account")
        self._account(body).transfer(str(_needed(body, "asset")).upper(), _amount(body, "amount"))
        return {}

    def _account(self, body: Body) -> VenueAccount:
        name = body.get("account")
        try:
            return self._venue.account_named(name)
        except KeyError:
            raise UsageError(f"account = {name!r} is neither spot nor futures") from None

    def _foreign_order(self, body: Body) -> Any:
        _only(body, "symbol", "side", "quantity", "price")
        account, symbol = self._market(str(_needed(body, "symbol")))
        order_id = account.place_foreign(
            symbol,
            str(_needed(body, "side")),
            _amount(body, "quantity"),
            _amount(body, "price") if body.get("price") is not None else None,
        )
        return {"orderId": order_id}

    def _market(self, name: str) -> tuple[VenueAccount, str]:
        """The account of a market, and Binance's name of it; spot's where both have such a name."""
        accounts = (self._venue.spot.account, self._venue.futures.account)
        for account in accounts:
            for meta in account.instruments.values():
                if name in (meta.symbol.name, meta.exchange_symbol):
                    return account, meta.exchange_symbol
        return accounts[0], name

    def _restrict(self, body: Body) -> Any:
        flags = {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): body[key] for key in body}
        for key, value in flags.items():
            if not isinstance(value, bool):
                raise UsageError(f"{key} = {value!r} is neither true nor false")
        try:
            self._venue.spot.account.restrict(**flags)
        except ValueError as error:
            raise UsageError(str(error)) from None
        self._venue.note_change()
        return flags

    def _use_up(self, body: Body) -> Any:
        """Another program of the same address uses up request weight, or of the same account, orders."""
        _only(body, "weight", "orders", "account")
        now_ns = self._venue.clock.now_ns()
        is_spot = self._account(body) is self._venue.spot.account
        limits = self._limits["spot" if is_spot else "futures"]
        limits.charge(int(_amount({"weight": 0} | dict(body), "weight")), now_ns)
        limits.count_orders(int(_amount({"orders": 0} | dict(body), "orders")), now_ns)
        return {"used": limits.headers(now_ns, orders=True)}

    def _disconnect(self, body: Body) -> Any:
        _only(body, "kind")
        kind = body.get("kind", "all")
        if kind not in ("user", "market", "all"):
            raise UsageError(f"kind = {kind!r} is none of user, market, all")
        return {"closed": self._venue.disconnect(kind)}

    def _quote(self, body: Body) -> Any:
        _only(body, "symbol", "bid", "ask")
        if self._move is None:
            raise UsageError("a recorded market cannot be moved", todo="start without --from")
        self._move(str(_needed(body, "symbol")), _amount(body, "bid"), _amount(body, "ask"))
        return {}

    def _end(self, _: Body) -> Any:
        self._stop()
        return {}


def _table(body: str) -> Body:
    if not body.strip():
        return {}
    try:
        table = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise UsageError("the body is not JSON", why=str(error)) from None
    if not isinstance(table, dict):
        raise UsageError("the body is not a JSON object", todo='send it like {"all": true}')
    return table


def _only(body: Body, *keys: str) -> None:
    for key in body:
        if key not in keys:
            raise UsageError(f"there is no {key} here", why=f"the keys are {', '.join(keys)}")


def _needed(body: Body, key: str) -> Any:
    if key not in body:
        raise UsageError(f"{key} is missing")
    return body[key]


def _amount(body: Body, key: str) -> Decimal:
    value = _needed(body, key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise UsageError(f"{key} = {value!r} is not a number")
    return to_decimal(value)


def _order_id(body: Body) -> int:
    value = _needed(body, "orderId")
    if isinstance(value, bool) or not str(value).isdecimal():
        raise UsageError(f"orderId = {value!r} is not an order's number")
    return int(value)


def _reply(status: int, found: Any) -> Reply:
    return Reply(status, msgspec.json.encode(found), {"Content-Type": "application/json"})
