"""What a service manager wants to hear of a program that it started: `sd_notify(3)`, over its socket.

    tell(os.environ, READY="1", STATUS="trading BTC/USDT")   once everything is open
    tell(os.environ, WATCHDOG="1")                           each `watchdog_interval(os.environ)`, by the bot
    tell(os.environ, STOPPING="1")                           when it begins to stop

Says nothing where nobody listens, and never waits.
"""

import os
import socket
from collections.abc import Mapping

_SOCKET = "NOTIFY_SOCKET"


def tell(environment: Mapping[str, str], **states: str) -> bool:
    """Say how we are; whether that was heard."""
    address = environment.get(_SOCKET, "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # a name in Linux's abstract namespace
        address = "\0" + address[1:]
    text = "\n".join(f"{name}={' '.join(value.splitlines())}" for name, value in states.items())
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(text.encode("utf-8", "backslashreplace"), address)
    except (OSError, ValueError):
        return False
    return True


def watchdog_interval(environment: Mapping[str, str], pid: int | None = None) -> float | None:
    """How often, in seconds, to tell that we are alive: twice as often as is asked for.  `None`: never."""
    asked_us, whose = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    is_ours = not whose or whose == str(os.getpid() if pid is None else pid)
    if not is_ours or not asked_us.isdecimal() or not int(asked_us):
        return None
    return int(asked_us) / 2_000_000
