"""What the exchange says when it refuses: an error with Binance's code, text and HTTP status.

Texts: binance-spot-api-docs, errors.md ("Error codes for Binance"); HTTP codes: rest-api.md, "HTTP Return
Codes".  Where that page leaves a status open, it is what clients have met in practice.  Knows no endpoint.
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal as it goes on the wire; `data` stands beside code and text (cancel-replace only)."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.data = data

    def body(self) -> dict[str, Any]:
        """The JSON that tells it."""
        told: dict[str, Any] = {"code": self.code, "msg": self.message}
        return told if self.data is None else told | {"data": self.data}


# Parameters.


def missing(name: str) -> ApiError:
    """A mandatory parameter is not there."""
    return ApiError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def missing_both(one: str, other: str) -> ApiError:
    """Neither of two parameters is there, of which one is needed."""
    return ApiError(400, -1102, f"Param '{one}' or '{other}' must be sent, but both were empty/null!")


def empty(name: str) -> ApiError:
    """A parameter is there, with nothing in it."""
    return ApiError(400, -1105, f"Parameter '{name}' was empty.")


def needless(name: str) -> ApiError:
    """A parameter is there that this request does not take."""
    return ApiError(400, -1106, f"Parameter '{name}' sent when not required.")


def illegal(name: str, legal: str) -> ApiError:
    """A parameter is not spelt as it must be."""
    return ApiError(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def invalid(name: str) -> ApiError:
    """A parameter is spelt right and means nothing."""
    return ApiError(400, -1130, f"Data sent for parameter '{name}' is not valid.")


def unread(read: int, sent: int) -> ApiError:
    """Parameters are there that nothing looks at."""
    return ApiError(
        400,
        -1104,
        f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'.",
    )


def too_precise(name: str) -> ApiError:
    """A number has more decimals than any asset."""
    return ApiError(400, -1111, f"Parameter '{name}' has too much precision.")


def twice() -> ApiError:
    """A parameter is there more than once."""
    return ApiError(400, -1101, "Duplicate values for a parameter detected.")


def bad_combination(message: str = "Combination of optional parameters invalid.") -> ApiError:
    """Parameters that do not go together."""
    return ApiError(400, -1128, message)


def more_than_a_day() -> ApiError:
    """A query spans too much time."""
    return ApiError(400, -1127, "More than 24 hours between startTime and endTime.")


BAD_SYMBOL = (400, -1121, "Invalid symbol.")
BAD_INTERVAL = (400, -1120, "Invalid interval.")
BAD_TIME_IN_FORCE = (400, -1115, "Invalid timeInForce.")
BAD_ORDER_TYPE = (400, -1116, "Invalid orderType.")
BAD_SIDE = (400, -1117, "Invalid side.")
BAD_STRATEGY_TYPE = (400, -1134, "strategyType was less than 1000000.")
BAD_CANCEL_RESTRICTIONS = (400, -1145, "Invalid cancelRestrictions")
BAD_LISTEN_KEY = (400, -1125, "This listenKey does not exist.")

# Who asks, and when.

KEY_FORMAT = (401, -2014, "API-key format invalid.")
KEY_UNKNOWN = (401, -2008, "Invalid Api-Key ID.")
KEY_REJECTED = (401, -2015, "Invalid API-key, IP, or permissions for action.")
BAD_SIGNATURE = (400, -1022, "Signature for this request is not valid.")
TOO_LATE = (400, -1021, "Timestamp for this request is outside of the recvWindow.")
TOO_EARLY = (400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
WIDE_WINDOW = (400, -1131, "'recvWindow' must be less than 60000.")

# What the matching engine says.

NO_SUCH_ORDER = (400, -2013, "Order does not exist.")
UNKNOWN_ORDER = (400, -2011, "Unknown order sent.")
RESTRICTED_CANCEL = (400, -2011, "Order was not canceled due to cancel restrictions.")
DISABLED = (400, -2010, "This action is disabled on this account.")
UNSUPPORTED = (400, -1020, "This operation is not supported.")
NO_SUCH_LIST = (400, -2013, "Order list does not exist.")


def rejected(message: str) -> ApiError:
    """The matching engine refuses an order."""
    return ApiError(400, -2010, message)


# Limits.


def too_heavy(limit: int, interval: str, retry_s: int) -> ApiError:
    """The weight of the requests in this interval is used up."""
    return ApiError(
        429,
        -1003,
        f"Too much request weight used; current limit is {limit} request weight per {interval}. "
        "Please use WebSocket Streams for live updates to avoid polling the API.",
        {"Retry-After": str(retry_s)},
    )


def banned(until_ms: int, retry_s: int) -> ApiError:
    """Who goes on after a 429 is shut out."""
    return ApiError(
        418,
        -1003,
        f"Way too much request weight used; IP banned until {until_ms}. "
        "Please use WebSocket Streams for live updates to avoid bans.",
        {"Retry-After": str(retry_s)},
    )


def too_many_orders(limit: int, interval: str, retry_s: int) -> ApiError:
    """The orders of this interval are used up."""
    return ApiError(
        429,
        -1015,
        f"Too many new orders; current limit is {limit} orders per {interval}.",
        {"Retry-After": str(retry_s)},
    )
