"""Hundreds of sockets that say half of something and then nothing, held open by one thread against one port."""

import contextlib
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Self

from support import wire

ONE_ADDRESS = ("127.0.0.1",)
EIGHT_ADDRESSES = tuple(f"127.0.0.{number}" for number in range(2, 10))
_DRIP_SECONDS = 0.3
"""Less than any tick at which a receiver may look at its clock: each byte finds it waiting anew."""
_OPENED_PER_SECOND = 500
"""The same siege on a fast machine and on a busy one, and no test of this thread's own pace."""


@dataclass(frozen=True)
class Stall:
    """What such a socket says: `request` and, once that is accepted, `half`; then byte by byte if it `drips`."""

    name: str
    half: bytes = b""
    request: bytes = b""
    drips: bool = False


def stalls(called: str) -> dict[str, Stall]:
    """The ways to stall, by name."""
    request = wire.associate_rq(called=called)
    half_data = wire.p_data(1, wire.COMMAND | wire.LAST, wire.echo_rq())[:30]
    long_data = wire.p_data(1, wire.COMMAND, bytes(4000))
    kinds = (
        Stall("silent"),
        Stall("half request", half=request[:40]),
        Stall("half data", half=half_data, request=request),
        Stall("drip", half=long_data[:12], request=request, drips=True),
    )
    return {kind.name: kind for kind in kinds}


@dataclass
class Held:
    """One socket, in seconds of the monotonic clock. The peer's patience begins at `stalled_at` or after it.

    `told_at`: the peer's first word or its end of the connection after that; `gone_at`: the end of the connection.
    """

    stall: Stall
    socket: socket.socket
    stalled_at: float | None = None
    told_at: float | None = None
    gone_at: float | None = None
    rejected: bool = False
    dripped_at: float = 0.0


class Siege:
    """Keeps `counts[name]` sockets of each kind open, from these addresses in turn; what is ended is opened anew."""

    def __init__(self, port: int, called: str, counts: Mapping[str, int], sources: Sequence[str]) -> None:
        self.held: list[Held] = []
        """Every socket there was, in the order of opening."""
        self.refused = 0
        """Connections that could not be made at once; they are tried again."""
        self._port, self._counts, self._sources = port, counts, cycle(sources)
        self._stalls = stalls(called)
        self._missing: deque[Stall] = deque()
        self._open_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._hold, daemon=True)

    def standing(self) -> int:
        """How many are open and have said their half."""
        return sum(held.gone_at is None and held.stalled_at is not None for held in list(self.held))

    def wait_for(self, count: int, seconds: float = 60.0) -> bool:
        """Whether so many stood at one time within this time."""
        deadline = time.monotonic() + seconds
        while not (stands := self.standing() >= count) and time.monotonic() < deadline:
            time.sleep(0.02)
        return stands

    def __enter__(self) -> Self:
        self._missing.extend(self._stalls[name] for name, count in self._counts.items() for _ in range(count))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _open(self, stall: Stall) -> None:
        begun_at = time.monotonic()  # a peer may have taken the connection before this thread goes on
        try:
            peer = wire.connect(self._port, source=next(self._sources), timeout=0.25)
        except OSError:
            self.refused += 1
            self._missing.append(stall)
            return
        peer.setblocking(False)
        held = Held(stall, peer)
        self.held.append(held)
        self._selector.register(peer, selectors.EVENT_READ, held)
        self._say(held, stall.request)
        if not stall.request:
            self._stall(held, begun_at)

    def _stall(self, held: Held, at: float) -> None:
        held.stalled_at = held.dripped_at = at
        self._say(held, held.stall.half)

    def _say(self, held: Held, words: bytes) -> None:
        with contextlib.suppress(OSError):  # it ended: the selector tells
            held.socket.sendall(words)

    def _hold(self) -> None:
        while not self._ending.is_set():
            for key, _ in self._selector.select(0.05):
                self._hear(key.data)
            self._drip()
            self._open_missing()

    def _open_missing(self) -> None:
        now = time.monotonic()
        self._open_at = max(self._open_at, now - 0.1)  # what was not used of the pace is not made up for
        while self._missing and self._open_at <= now:
            self._open_at += 1 / _OPENED_PER_SECOND
            self._open(self._missing.popleft())

    def _drip(self) -> None:
        now = time.monotonic()
        for key in list(self._selector.get_map().values()):
            held: Held = key.data
            if held.stall.drips and held.stalled_at is not None and now - held.dripped_at > _DRIP_SECONDS:
                held.dripped_at = now
                self._say(held, b"\0")

    def _hear(self, held: Held) -> None:
        words = b""
        with contextlib.suppress(OSError):
            words = held.socket.recv(65536)
        now = time.monotonic()
        if words and held.stalled_at is None and words[0] == wire.ASSOCIATE_AC:
            self._stall(held, now)
            return
        held.rejected |= words[:1] == bytes([wire.ASSOCIATE_RJ])
        held.told_at = held.told_at or now
        if words:
            return
        held.gone_at = now
        self._selector.unregister(held.socket)
        held.socket.close()
        self._missing.append(held.stall)
