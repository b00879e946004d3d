"""What the futures exchange says that spot does not.

Source: developers.binance.com, USDⓈ-M Futures, "Error Code".  Refusals of the matching engine (filters,
margin, reduce-only, post-only) are in `simulation.rules`, with the same source.
"""

from quantcli.sandbox.errors import ApiError

CLIENT_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"

LONG_CLIENT_ID = (400, -4015, "Client order id length should not be more than 36 chars")
NO_QUANTITY = (400, -4003, "Quantity less than or equal to zero.")
NO_PRICE = (400, -4001, "Price less than 0.")
NO_STOP_PRICE = (400, -4006, "Stop price less than zero.")
BAD_WORKING_TYPE = (400, -4031, "Invalid parameter working type")
STOP_LIMIT_REACHED = (400, -4045, "Reach max stop order limit.")
SAME_MARGIN_TYPE = (400, -4046, "No need to change margin type.")
SAME_POSITION_SIDE = (400, -4059, "No need to change position side.")
BAD_POSITION_SIDE = (400, -4061, "Order's position side does not match user's setting.")
BAD_BATCH = (400, -4082, "Invalid number of batch place orders.")
NO_PLACING = (400, -4088, "User can not place order currently.")
DUPLICATE = (400, -4116, "ClientOrderId is duplicated.")
USE_ALGO = (
    400,
    -4120,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
)
FOK_REJECTED = (
    400,
    -5021,
    "Due to the order could not be filled immediately, the FOK order has been rejected. "
    "The order will not be recorded in the order history",
)
BAD_GOOD_TILL_DATE = (
    400,
    -5040,
    "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
    "253402300799000",
)
LOW_LEVERAGE = (400, -2028, "Leverage is smaller than permitted: insufficient margin balance.")


def bad_leverage(leverage: int) -> ApiError:
    """A leverage that no market has."""
    return ApiError(400, -4028, f"Leverage {leverage} is not valid")


def bad_depth(limit: int) -> ApiError:
    """A number of levels that cannot be asked for."""
    return ApiError(400, -4021, f"{limit} is not valid depth limit")


def not_here(what: str) -> ApiError:
    """Something that the real exchange has and this one has not."""
    return ApiError(400, -1020, f"This operation is not supported: {what}.")
