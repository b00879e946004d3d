"""The way to a running bot: frames in over a WebSocket on its socket, words out; again when it breaks.

Tells what comes to the functions it was given.  Knows nothing of what is drawn.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec

from quantcli.runtime.control.wire import Done, FillList, Frame, Look, Refusal, Status, Word

_AT = "http://bot/v1"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_ANSWER_S = 20.0
_HEARTBEAT_S = 5.0
_LARGEST = 16 * 1024 * 1024
_FILLS = 200


class Link:
    """One bot at its socket.  Calls `on_frame`, `on_connected`, and `on_lost` with a reason, in its loop."""

    def __init__(
        self,
        path: Path,
        on_frame: Callable[[Frame], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self.path = path
        self._on_frame = on_frame
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._decoder = msgspec.json.Decoder(Frame)
        self._look = Look()
        self._looked = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None

    def look(self, look: Look) -> None:
        """What to be shown besides, from now on."""
        if look != self._look:
            self._look = look
            self._looked.set()

    async def run(self) -> None:
        """Watch until cancelled, connecting again whenever nobody is there."""
        pause_s = _FIRST_PAUSE_S
        connector = aiohttp.UnixConnector(path=str(self.path))
        async with aiohttp.ClientSession(connector=connector) as self._session:
            while True:
                try:
                    has_heard = await self._watch(self._session)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    has_heard = False
                    self._on_lost(_reason(error))
                except msgspec.MsgspecError as error:
                    has_heard = False
                    self._on_lost(f"it speaks otherwise than we do: {error}")
                pause_s = _FIRST_PAUSE_S if has_heard else min(pause_s * 2, _LONGEST_PAUSE_S)
                await asyncio.sleep(pause_s)

    async def _watch(self, session: aiohttp.ClientSession) -> bool:
        """One connection; whether anything came over it."""
        has_heard = False
        watching = session.ws_connect(f"{_AT}/watch", heartbeat=_HEARTBEAT_S, max_msg_size=_LARGEST)
        async with watching as socket:
            asking = asyncio.create_task(self._ask(socket))
            try:
                async for message in socket:
                    if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                        continue
                    if not has_heard:
                        self._on_connected()
                        has_heard = True
                    self._on_frame(self._decoder.decode(message.data))
            finally:
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, OSError):
                    await asking
        self._on_lost("the bot closed the connection")
        return has_heard

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Say what we look at, now and when it changes."""
        while True:
            self._looked.clear()
            await socket.send_str(msgspec.json.encode(self._look).decode())
            await self._looked.wait()

    async def do(self, verb: str, words: dict[str, str]) -> Done | Refusal:
        """Tell the bot a word; what came of it.  A word that was not answered may have been heard."""
        body = msgspec.json.encode(Word(uuid4().hex, words))
        try:
            return await self._post(f"{_AT}/do/{verb}", body)
        except TimeoutError:
            return Refusal(
                f"no answer in {_ANSWER_S:g} s",
                "the word may have been heard",
                "look at the screen, then again",
            )
        except (aiohttp.ClientError, OSError) as error:
            return Refusal("the bot cannot be reached", _reason(error), "quant ps")
        except msgspec.MsgspecError as error:
            return Refusal("the bot answered something else", str(error), "quant version")

    async def _post(self, url: str, body: bytes) -> Done | Refusal:
        if self._session is None:
            raise aiohttp.ClientConnectionError("not connected yet")
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        headers = {"Content-Type": "application/json"}
        async with self._session.post(url, data=body, headers=headers, timeout=timeout) as answer:
            told = await answer.read()
            if answer.status != 200:
                return msgspec.json.decode(told, type=Refusal)
            return msgspec.json.decode(told, type=Done)

    async def fills(self, symbol: str) -> FillList | Refusal:
        """The last executions in a market."""
        if self._session is None:
            return Refusal("not connected yet")
        query = {"symbol": symbol, "limit": str(_FILLS)}
        try:
            async with self._session.get(f"{_AT}/fills", params=query) as answer:
                told = await answer.read()
                if answer.status != 200:
                    return msgspec.json.decode(told, type=Refusal)
                return msgspec.json.decode(told, type=FillList)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError) as error:
            return Refusal("the fills could not be read", _reason(error))


async def status_at(path: Path) -> Status | None:
    """How the bot at a socket is; `None` if nobody answers there in a second."""
    timeout = aiohttp.ClientTimeout(total=1.0)
    connector = aiohttp.UnixConnector(path=str(path))
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(f"{_AT}/status") as answer,
        ):
            return msgspec.json.decode(await answer.read(), type=Status)
    except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError | FileNotFoundError | ConnectionRefusedError):
        return "the bot is not running"
    return str(error) or type(error).__name__
