"""What each kind of error means, why it is one, and what to do: a page per `help_id` of `errors`.

Words only.
"""

from typing import NamedTuple


class Page(NamedTuple):
    """About one kind of error; each of `todo` may begin with a command."""

    title: str
    what: str
    why: str
    todo: tuple[str, ...]


PAGES: dict[str, Page] = {
    "QNT-101": Page(
        "the exchange, or the way to it",
        "The exchange could not be reached, or did not do what was asked.",
        "A network that is down, an address that is wrong, or an exchange under maintenance. Orders that may "
        "be out there are never taken for gone because of it: they are asked about until it answers.",
        (
            "quant status                    how the connections are",
            "quant doctor                    whether it is this machine",
            "quant reconcile --plan          what is not known yet",
        ),
    ),
    "QNT-102": Page(
        "the exchange answered with an error",
        "The exchange understood the request and refused it, with a code and a message of its own.",
        "The first line has the exchange's code; its documentation says what it means.",
        ("quant orders why ID             what was refused, and what happens next",),
    ),
    "QNT-103": Page(
        "too many requests",
        "The exchange asks us to wait before anything more is asked.",
        "Its limits are per address or account: another program may have used them up. We keep count, and "
        "leave room for cancels.",
        (
            "quant status -o wide            how much of each budget is used",
            "wait as long as the message says; a ban gets longer with every request that ignores it",
        ),
    ),
    "QNT-104": Page(
        "trading is disabled",
        "The exchange is there, and accepts no orders for this account or market.",
        "Maintenance, a market that is halted or was delisted, or an account that was restricted.",
        ("look at the account on the exchange; what works there can still be cancelled",),
    ),
    "QNT-201": Page(
        "the command line cannot be meant",
        "A verb, flag or value is wrong, or two of them do not go together.",
        "The second line says what was expected.",
        ("quant --help", "quant orders --help"),
    ),
    "QNT-202": Page(
        "no such thing",
        "Nothing here has the name or id that was given.",
        "Ids may be given by their beginning or end; bots, recordings and runs are those of the project you "
        "are in (the folder of quant.toml, or this one).",
        (
            "quant orders --all              every order there was",
            "quant ps                        every bot",
        ),
    ),
    "QNT-203": Page(
        "it exists already",
        "Something with this identity is there.",
        "Ids name one thing for ever, so nothing is put in its place.",
        ("choose another name",),
    ),
    "QNT-301": Page(
        "the strategy",
        "The strategy's file cannot be loaded, or it did something that it must not do.",
        "The message names file and line. When a strategy fails, what it kept resting is cancelled, and what "
        "protects a position stays.",
        ("quant logs --level error        the traceback", "quant simulate --from recordings    try it again"),
    ),
    "QNT-401": Page(
        "configuration or credentials",
        "quant.toml, the environment, or a key is not as it must be.",
        "The message names the place and the key, and what would be right.",
        (
            "quant config check              all mistakes at once",
            "quant config show               every value, and where it is from",
            "quant login binance             keep a key",
        ),
    ),
    "QNT-501": Page(
        "an order that can never be valid",
        "The order's terms contradict each other or the market's rules.",
        "Prices go in ticks, quantities in lots, and each type of order needs its prices.",
        ("quant logs --level warn         which order, and of which slot",),
    ),
    "QNT-502": Page(
        "our own limits forbid it",
        "A risk check refused an order before it was written down or sent.",
        "The limits are those under [limits] in quant.toml; a halted bot adds no exposure at all.",
        (
            "quant config show               the limits",
            "quant status                    whether it is halted, and why",
            "quant resume                    once the cause of a halt is found",
        ),
    ),
    "QNT-601": Page(
        "a recording",
        "Recorded data is missing, cannot be read, or is not what it claims to be.",
        "Each folder has a manifest that says what should be in it.",
        ("quant recordings list           what is there",),
    ),
    "QNT-602": Page(
        "a damaged recording",
        "The bytes on disk are not those that were written.",
        "Every file's hash is in the manifest, and this one's differs: a disk error, or somebody changed it.",
        (
            "quant recordings verify         every file",
            "restore it from a copy, or import the originals again",
        ),
    ),
    "QNT-701": Page(
        "the state database",
        "The file in which orders are remembered cannot be opened, locked or trusted.",
        "Without it nothing could be known after a crash, so nothing is placed.",
        (
            "quant doctor                    its place, its rights, the disk",
            "quant halt --cancel             works without the database",
        ),
    ),
    "QNT-702": Page(
        "the disk is full",
        "Nothing of what was to be written is there.",
        "What is not durable is not sent; cancels and the kill switch still work.",
        ("make room; the bot goes on by itself",),
    ),
    "QNT-703": Page(
        "another program holds the database",
        "The database was locked for too long; nothing of what was to be written is there.",
        "A backup or an editor that keeps it open.",
        ("close the other program; the bot goes on by itself",),
    ),
    "QNT-801": Page(
        "refused, because it could lose money or data",
        "Going on would be dangerous, or a person's consent is missing.",
        "Nothing was done.",
        (
            "read the second line: it says what to change, or which flag gives consent (--yes)",
            "quant halt --flatten --yes      as an example of a command that does not ask",
        ),
    ),
    "QNT-802": Page(
        "the bot is not running",
        "What was asked can only be done by the bot itself, and it is not there.",
        "Listings show what is remembered, and say so (STALE); with --require-live they fail like this.",
        (
            "quant ps                        which bots run, in any project",
            "quant trade --paper             start it, with what it was started with",
            "quant reconcile --plan          compare with the exchange without it",
        ),
    ),
    "QNT-803": Page(
        "not confirmed",
        "It was asked for, and nobody has confirmed it yet: it may have happened or not.",
        "Silence is no answer. Nothing is done twice because of it: a bot asks the exchange until it knows.",
        (
            "quant status                    whether the bot answers",
            "quant orders                    rows with ! are in doubt",
            "quant reconcile --check         0 once everything is known",
        ),
    ),
    "QNT-804": Page(
        "the bot refused",
        "A running bot did not do what was asked; the lines are its own.",
        "Mostly there is no such order, or it is in no state for that.",
        ("quant orders                    what there is", "quant events                    what happened"),
    ),
    "QNT-900": Page(
        "something else went wrong",
        "An error that has no page of its own: the system refused something, or there is a bug in quant.",
        "A bug names its place in the second line.",
        ("quant --debug orders            any command with --debug shows the traceback",),
    ),
    "QNT-901": Page(
        "a promise of our own is broken",
        "What may never happen has happened; nothing is placed any more, recording goes on.",
        "Better no orders than wrong ones. The state database has everything that led to it.",
        (
            "quant halt --cancel             if something still works at the exchange",
            "keep the database and report this",
        ),
    ),
}

TOPICS: dict[str, str] = {
    "environment": """\
What the environment can say; flags win over it, and it wins over quant.toml.

  QUANT__SECTION__KEY        any value of quant.toml, as QUANT__LIMITS__MAX_OPEN=5
  QUANT_<EXCHANGE>_API_KEY   the key of an account, and …
  QUANT_<EXCHANGE>_SECRET    its secret (see `quant login`); taken out of the environment at once
  QUANT_DEBUG=1              tracebacks of errors, as --debug
  NO_COLOR                   no colour at all
  FORCE_COLOR=1              colour in pipes, too; --color never|always wins over both
  TERM=dumb                  no colour
  XDG_RUNTIME_DIR            where running bots are spoken to: quantcli/BOT.….sock in it
  _QUANT_COMPLETE            set by shells that complete (`quant completion`)""",
    "exit-codes": """\
  0    done; for reconcile: nothing differs; watching (-w, -f) was interrupted
  1    an error
  2    the command line cannot be meant
  3    the bot is not running, and it would have to be (listings: only with --require-live)
  4    configuration or credentials
  5    asked for and not confirmed in time: it may have happened
  6    wish and exchange differ; a recording is damaged
  7    there is no such thing
  8    refused for safety, or consent is missing: without a terminal add --yes
  130  interrupted""",
    "formatting": """\
Every listing takes -o:

  table   for people; the same in a pipe, without colour
  wide    with more columns, and what events mean
  json    {"api":"quant/v1","kind":"OrderList","as_of":"…Z","stale":false,"items":[…]}; --json is short for it
  jsonl   one item a line
  csv     with a header; parts of parts as JSON
  name    ids only, one a line

Prices, quantities and money are text in JSON, exact to the last digit; times are nanoseconds since the epoch
(UTC), but for as_of.  `stale` says that the bot does not run, and this is what it remembered.  Keys are only
ever added.  Data goes to stdout, everything else to stderr.

-w, --watch [SECONDS] looks again and again: redrawn on a terminal; in a pipe a line of JSON when something
has changed.  Ctrl-C ends it, with 0.

--since takes 2h, 1h30m, 2026-11-01, or 2026-11-01T09:14:02Z; dates are UTC.
Markets are BTC/USDT, or BTC/USDT:USDT for futures; btcusdt is understood.""",
    "states": """\
The character before an order:

  =  in sync: on the exchange as it is wished
  ~  it is there on other terms, and is being changed
  +  it is wished and not there yet
  x  it is there and not wished for: being cancelled, or nobody's (orders adopt, orders cancel)
  /  partly filled
  !  unknown: asked, and nobody has answered; it counts as open until that is proved wrong

Phases of a wish: PENDING, ACTIVE, CANCEL_REQUESTED; settled: SATISFIED, CANCELED, EXPIRED, FAILED.
States of a bot: starting, trading, stopping, stopped; stuck (its strategy does not return), failed (the
kernel has stopped for good).  Worlds: REPLAY, PAPER, TESTNET (live at an endpoint you chose), LIVE.
Levels of a halt: HALT_NEW (nothing that adds exposure), CANCEL_ALL, FLATTEN; each includes those before.""",
}
