"""Connections to the pages: as many as the node can spare, each for as long as somebody has something to say.

A connection is a descriptor of the process that keeps the database, the store and the workers, and anybody who reaches
the port may open them, before any sign-in. Uvicorn by itself keeps one that begins no request, or half of one, for
ever (slowloris): a thousand of them, and the node opens no file any more.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 400
"""Below the 1024 descriptors that a process has by default, with room for all else."""
AT_ONCE = 64
"""Taken from the kernel in one turn of the loop, before any of them is counted."""
REQUEST_SECONDS = 30.0
"""In which a request has to come whole: from the beginning of the connection, or from the answer before it."""

_NOT_WHOLE = (h11.IDLE, h11.SEND_BODY)


class BoundedConnection(H11Protocol):
    """One connection. Where there are too many, the one goes that has said nothing for longest."""

    waits_since: float = float("inf")
    """On the loop's clock; never, while a whole request is answered."""
    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()
        if len(self.connections) > MOST:
            longest = min(self.connections, key=_waits_since)
            self.connections.discard(longest)  # gone from now on, before the loop gets round to saying so
            longest.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Begin to wait, or stop, as the state of the request has it."""
        if self.conn.their_state not in _NOT_WHOLE:
            self._stop_waiting()
        elif self._limit is None:
            self.waits_since = self.loop.time()
            # what the other end does not read would keep a `close` waiting as well
            self._limit = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        self.waits_since = float("inf")
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None


def _waits_since(connection: Any) -> float:
    since: float = connection.waits_since
    return since
