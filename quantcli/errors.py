"""Every exception a user or a caller may meet, on one page.

    QuantError                    what happened, why, what to do
    ├── UsageError                the command line or a value on it cannot be meant        exit 2
    ├── ConfigError               configuration or credentials are wrong                   exit 4
    ├── StrategyError             the user's strategy file cannot do what it asks          exit 1
    ├── RecordingError            recorded data is missing, damaged or not what it claims  exit 1 (6: damage)
    ├── ValidationError           an order that can never be valid                         exit 1
    │   └── RiskRefused           an order that our own limits forbid                      exit 8
    ├── NotFoundError             no such intent, order, symbol, run                       exit 7
    ├── AlreadyExistsError        a row with this identity is there already                exit 1
    ├── ExchangeError             the exchange, or the way to it                           exit 1
    │   ├── ExchangeAPIError      it answered with a code and a message
    │   │   └── RateLimitError    … and asks us to wait
    │   └── TradingDisabled       it is there but accepts no orders
    ├── SafetyError               refused: going on could lose money or data               exit 8
    ├── DaemonAbsent              the bot is not running, and it would have to be           exit 3
    ├── OutcomeUnknown            asked for, and not confirmed                             exit 5
    ├── RemoteError               what a running bot refused with                          as it says
    ├── StoreError                the state database cannot be trusted or opened           exit 1
    │   ├── StoreFull             the disk is full: nothing of it was recorded, try later
    │   └── StoreBusy             another program holds the database: likewise
    └── InvariantError            our own promise is broken: stop placing orders           exit 1

What an exchange answers to an order is *not* an exception: rejections, time-outs and silence are
`model.message` reports, because the kernel must reason about them.  This module knows nothing of the
other modules.
"""


class QuantError(Exception):
    """Base of all errors shown to users.

    `str(error)` says what happened; `why` and `todo` are the second and third line of the message.  `help_id`
    names the kind of error for `quant help`.
    """

    exit_code = 1
    help_id = "QNT-900"

    def __init__(self, what: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.todo = todo


class UsageError(QuantError):
    """The command line, or a value on it, cannot be meant."""

    exit_code = 2
    help_id = "QNT-201"


class ConfigError(QuantError):
    """Configuration or credentials are wrong."""

    exit_code = 4
    help_id = "QNT-401"


class StrategyError(QuantError):
    """The strategy file cannot be loaded, or misbehaved; the message names file and line."""

    help_id = "QNT-301"


class RecordingError(QuantError):
    """Recorded data is missing, unreadable or not what it claims to be."""

    help_id = "QNT-601"


class DamagedRecording(RecordingError):
    """The bytes on disk are not the bytes that were written."""

    exit_code = 6
    help_id = "QNT-602"


class ValidationError(QuantError):
    """An order, group or argument that can never be valid."""

    help_id = "QNT-501"


class RiskRefused(ValidationError):
    """An order forbidden by our own limits; `check` names the risk check."""

    exit_code = 8
    help_id = "QNT-502"

    def __init__(self, what: str, *, check: str, why: str = "", todo: str = "") -> None:
        super().__init__(what, why=why, todo=todo)
        self.check = check


class NotFoundError(QuantError):
    """No such intent, order, symbol, recording or run."""

    exit_code = 7
    help_id = "QNT-202"


class AlreadyExistsError(QuantError):
    """A row with this identity exists already."""

    help_id = "QNT-203"


class ExchangeError(QuantError):
    """The exchange, or the way to it, failed."""

    help_id = "QNT-101"


class ExchangeAPIError(ExchangeError):
    """The exchange answered with an error code and message of its own."""

    help_id = "QNT-102"

    def __init__(self, code: int | str, message: str, *, why: str = "", todo: str = "") -> None:
        super().__init__(f"{code} {message}", why=why, todo=todo)
        self.code = code
        self.message = message


class RateLimitError(ExchangeAPIError):
    """Too many requests; try again after `retry_after` seconds."""

    help_id = "QNT-103"

    def __init__(self, code: int | str, message: str, *, retry_after: float) -> None:
        super().__init__(code, message, todo=f"wait {retry_after:g} s")
        self.retry_after = retry_after


class TradingDisabled(ExchangeError):
    """The exchange is reachable but accepts no orders for this account or symbol."""

    help_id = "QNT-104"


class SafetyError(QuantError):
    """Refused, because going on could lose money or data."""

    exit_code = 8
    help_id = "QNT-801"


class DaemonAbsent(QuantError):
    """The bot is not running, and what was asked needs it."""

    exit_code = 3
    help_id = "QNT-802"


class OutcomeUnknown(QuantError):
    """It was asked for, and nobody has confirmed it yet."""

    exit_code = 5
    help_id = "QNT-803"


class RemoteError(QuantError):
    """A running bot refused; code and exit code are those of its own error."""

    help_id = "QNT-804"


class StoreError(QuantError):
    """The state database cannot be opened, locked, or trusted."""

    help_id = "QNT-701"


class StoreFull(StoreError):
    """The disk is full.  Nothing of what was to be written is recorded; it may be tried again."""

    help_id = "QNT-702"


class StoreBusy(StoreError):
    """Another program holds the database.  Nothing of what was to be written is recorded; it may be tried
    again."""

    help_id = "QNT-703"


class InvariantError(QuantError):
    """A promise of our own is broken; trading stops, recording goes on."""

    help_id = "QNT-901"
