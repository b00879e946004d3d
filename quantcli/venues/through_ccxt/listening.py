"""Stands between ccxt.pro and its sockets, and tells a listener everything that ccxt keeps to itself.

Every client (ccxt's word for a connection) is fitted with the same few ears when ccxt makes it: what its
messages resolve to, what they reject, whether reading one failed, when it connected and when it was lost.
Reading goes on after a message that ccxt cannot read; ccxt alone would stop listening there.
"""

from typing import Any, Protocol

from quantcli.clock import Clock

# What reading a message that is not as expected raises in ccxt's code.
ODD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class Listener(Protocol):
    """Whom it is told; `url` is the connection's."""

    def took(self, url: str, result: Any) -> None:
        """A message changed this object: a cache of trades, a book, a ticker."""
        ...

    def rejected(self, url: str, error: Any, about: str) -> None:
        """ccxt gave up something that was watched, for this reason; `about` is its name, or empty."""
        ...

    def unreadable(self, url: str, size: int, error: Exception) -> None:
        """A message could not be read."""
        ...

    def connected(self, url: str) -> None:
        """A connection is open."""
        ...

    def lost(self, url: str, reason: str) -> None:
        """A connection is gone."""
        ...


class _Nobody:
    """Hears nothing."""

    def took(self, url: str, result: Any) -> None: ...

    def rejected(self, url: str, error: Any, about: str) -> None: ...

    def unreadable(self, url: str, size: int, error: Exception) -> None: ...

    def connected(self, url: str) -> None: ...

    def lost(self, url: str, reason: str) -> None: ...


class Listening:
    """Fits the clients of one exchange object, which must not have made any yet.  `error` is ccxt's own kind
    of error."""

    def __init__(self, exchange: Any, listener: Listener, clock: Clock, error: type[Exception]) -> None:
        self._exchange = exchange
        self._listener: Listener = listener
        self._clock = clock
        self._odd = (*ODD, error)
        self._heard_ns: dict[Any, int] = {}
        self._make = exchange.client
        self._on_connected = exchange.on_connected
        self._on_error = exchange.on_error
        self._on_close = exchange.on_close
        exchange.client = self._client
        exchange.on_connected = self._connected
        exchange.on_error = self._failed
        exchange.on_close = self._closed

    def silent(self, least_ns: int) -> list[str]:
        """Connections that gave no sign of life, not even a pong, for so long."""
        now_ns = self._clock.now_ns()
        return [client.url for client, heard_ns in self._heard_ns.items() if now_ns - heard_ns > least_ns]

    def stop(self) -> None:
        """Tell nothing any more: what comes now, the closing of connections, is our own doing."""
        self._listener = _Nobody()

    def give_up(self, url: str, reason: str) -> None:
        """Treat a connection as lost."""
        for client in [client for client in self._heard_ns if client.url == url]:
            client.on_error(TimeoutError(reason))

    def _client(self, url: str) -> Any:
        client = self._make(url)
        if client in self._heard_ns or client.error is not None:
            return client
        self._heard_ns[client] = self._clock.now_ns()
        resolve, reject = client.resolve, client.reject
        handle, read = client.handle_message, client.handle_text_or_binary_message

        def resolved(result: Any, about: Any) -> Any:
            self._listener.took(url, result)
            return resolve(result, about)

        def rejected(error: Any, about: Any = None) -> Any:
            self._listener.rejected(url, error, about or "")
            return reject(error, about)

        def handled(message: Any) -> None:
            self._heard_ns[client] = self._clock.now_ns()
            handle(message)

        def taken(data: Any) -> None:
            try:
                read(data)
            except self._odd as error:
                self._listener.unreadable(url, len(data), error)

        client.resolve, client.reject = resolved, rejected
        client.handle_message, client.handle_text_or_binary_message = handled, taken
        return client

    def _connected(self, client: Any, message: Any = None) -> None:
        self._heard_ns[client] = self._clock.now_ns()
        self._on_connected(client, message)
        self._listener.connected(client.url)

    def _failed(self, client: Any, error: Any) -> None:
        self._on_error(client, error)
        self._gone(client, str(error) or type(error).__name__)

    def _closed(self, client: Any, code: Any) -> None:
        # ccxt tells of one end twice, and the second time would forget the connection that came after.
        if self._exchange.clients.get(client.url) is client:
            self._on_close(client, code)
        self._gone(client, f"closed by the exchange, code {code}")

    def _gone(self, client: Any, reason: str) -> None:
        if self._heard_ns.pop(client, None) is not None:
            self._listener.lost(client.url, reason)
