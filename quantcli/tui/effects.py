"""What a key may lead to outside of the screen; the shells carry it out."""

from pathlib import Path
from typing import NamedTuple


class Detach(NamedTuple):
    """Leave; the bot goes on."""


class Suspend(NamedTuple):
    """Back to the terminal's own shell until `fg`."""


class Do(NamedTuple):
    """Tell the bot an operator's word; `about` says to the person what it was."""

    verb: str
    words: dict[str, str]
    about: str


class Copy(NamedTuple):
    """Put a text on the clipboard of the terminal."""

    text: str


class Fills(NamedTuple):
    """Ask for the last executions in a market, to be shown."""

    symbol: str


class Bots(NamedTuple):
    """See which bots run, to choose from."""


class Switch(NamedTuple):
    """Watch another bot, at its socket."""

    bot: str
    path: Path


Effect = Detach | Suspend | Do | Copy | Fills | Bots | Switch
