"""Answers that a fault gives in the exchange's stead: status codes, HTML of a proxy, bans, maintenance.

Codes and texts: binance-spot-api-docs, errors.md, and rest-api.md, "HTTP Return Codes".  Knows only what a
rule says; whether anything was applied is not told, which is the point.
"""

import math
from http import HTTPStatus
from typing import Any

import msgspec

from quantcli.sandbox.dispatch import Reply
from quantcli.sandbox.faults.rules import Rule

_JSON = {"Content-Type": "application/json;charset=UTF-8"}
_HTML = {"Content-Type": "text/html"}
_UNKNOWN_STATUS = (
    "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
)
_USUAL = {
    401: (-2015, "Invalid API-key, IP, or permissions for action."),
    408: (-1007, _UNKNOWN_STATUS),
    418: (
        -1003,
        "Way too much request weight used; IP banned. Please use WebSocket Streams for live updates.",
    ),
    429: (-1003, "Too much request weight used; please use WebSocket Streams for live updates."),
    503: (-1008, "Server is currently overloaded with other requests. Please try again in a few minutes."),
    504: (-1007, _UNKNOWN_STATUS),
}
_ANY = (-1000, "An unknown error occurred while processing the request.")
_MAINTENANCE = (-1016, "This service is no longer available.")


def false_answer(rule: Rule, remaining_s: float) -> Reply:
    """What is answered by a rule of status, html, empty, ban, maintenance or refuse."""
    retry = {"Retry-After": str(max(1, math.ceil(remaining_s)))}
    match rule.fault:
        case "html":
            return Reply(rule.status, _page(rule.status), dict(_HTML))
        case "empty":
            return Reply(200, b"", dict(_JSON))
        case "ban":
            return Reply(rule.status, _body(*_USUAL.get(rule.status, _ANY)), _JSON | retry)
        case "maintenance":
            return Reply(503, _body(*_MAINTENANCE), dict(_JSON))
        case _:
            return Reply(rule.status, _body(*_error(rule)), _JSON | dict(rule.headers))


def false_ws_answer(rule: Rule, remaining_s: float, request_id: Any, now_ms: int) -> str:
    """The same as a message of the websocket API, for the request with this id."""
    if rule.fault in ("html", "empty"):
        return false_answer(rule, remaining_s).body.decode()
    status = 503 if rule.fault == "maintenance" else rule.status
    code, message = _MAINTENANCE if rule.fault == "maintenance" else _error(rule)
    error: dict[str, Any] = {"code": code, "msg": message}
    if rule.fault == "ban":
        error["data"] = {"serverTime": now_ms, "retryAfter": now_ms + round(remaining_s * 1000)}
    return msgspec.json.encode({"id": request_id, "status": status, "error": error}).decode()


def _error(rule: Rule) -> tuple[int, str]:
    code, message = _USUAL.get(rule.status, _ANY)
    return code if rule.code is None else rule.code, rule.message or message


def _body(code: int, message: str) -> bytes:
    return msgspec.json.encode({"code": code, "msg": message})


# What is broken off or trickles away where nothing was applied.
NO_ANSWER = Reply(500, _body(*_ANY), dict(_JSON))


def _page(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    title = f"{status} {phrase}"
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n".encode()
