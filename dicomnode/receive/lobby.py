"""The lobby: where connections wait until they have asked for an association, and until they are gone.

One thread for all of them, so that a silent socket costs a descriptor and nothing else.
"""

import contextlib
import logging
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from dicomnode.receive.connection import Connection
from dicomnode.receive.limits import Limits
from dicomnode.receive.listening import Listening
from dicomnode.receive.pdu import PDU_HEADER, AbortReason, abort_by_provider
from dicomnode.receive.states import ARROWS, Action, Event, State, event_of

LOGGER = logging.getLogger(__name__)

_CHUNK = 64 << 10
_AFTER_YOU_SECONDS = 0.0005
"""The kernel wakes all that listen; so long a process waits that has more associations than another."""
_WANTS = (BlockingIOError, ssl.SSLWantReadError)

_LAST_WORDS = {
    Action.ABORT_UNEXPECTED: abort_by_provider(AbortReason.UNEXPECTED_PDU),
    Action.ABORT_UNRECOGNIZED: abort_by_provider(AbortReason.UNRECOGNIZED_PDU),
    Action.ABORT_INVALID: abort_by_provider(AbortReason.INVALID_PARAMETER),
}


@dataclass(eq=False)
class _Waiting:
    """One connection; `received` is what has come of its request."""

    socket: socket.socket
    address: str
    port: int
    deadline: float
    state: State = State.AWAITING_REQUEST
    shaking_hands: bool = False
    received: bytearray = field(default_factory=bytearray)


class Lobby(threading.Thread):
    """Accepts connections and calls `asked` with each that asks for an association, `dropped` with each that may not.

    All are called in this thread, and must not block. `dropped` gets the peer's address and the reason in words;
    `is_crowded` says whether another process should take the next connection.
    """

    def __init__(
        self,
        listening: Sequence[Listening],
        limits: Limits,
        asked: Callable[[Connection], None],
        dropped: Callable[[str, str], None],
        is_crowded: Callable[[], bool],
    ) -> None:
        super().__init__(name="lobby", daemon=True)
        self._limits, self._asked, self._dropped, self._is_crowded = limits, asked, dropped, is_crowded
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[_Waiting, None] = {}  # in the order of their deadlines
        self._of_address: Counter[str] = Counter()
        self._bytes = 0
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, self._listen_to_orders)
        self._listening = list(listening)
        for each in listening:
            each.socket.setblocking(False)
            self._selector.register(each.socket, selectors.EVENT_READ, each)
        self._stopping = False

    def await_close(self, sock: socket.socket, address: str) -> None:
        """Take back a connection over which our last word was said, and close it once the peer has. From any thread."""
        if self._stopping:
            sock.close()
        else:
            self._order(lambda: self._enter_closing(sock, address))

    def stop_listening(self) -> None:
        """Accept no more; connections that wait still may ask. From any thread."""
        self._order(self._close_listeners)

    def stop(self) -> None:
        """Close everything and end. From any thread."""
        self._order(self._end)
        self.join(5.0)

    def run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select(self._patience()):
                try:
                    self._attend(key.data)
                except Exception:
                    LOGGER.exception("a connection failed for a reason of our own")
                    if isinstance(key.data, _Waiting):
                        self._drop(key.data)
            self._send_home_the_late()
        self._listen_to_orders()
        for waiting in list(self._waiting):
            self._drop(waiting)
        self._close_listeners()
        self._selector.close()
        self._bell.close()
        self._ringer.close()

    def _attend(self, what: object) -> None:
        if isinstance(what, _Waiting):
            if what in self._waiting:  # it may have made room for another since it was selected
                self._read(what)
        elif isinstance(what, Listening):
            self._accept(what)
        else:
            self._listen_to_orders()

    def _accept(self, listening: Listening) -> None:
        """One connection a turn: other receiving processes listen on the same socket, and go first if less busy."""
        if self._is_crowded():
            time.sleep(_AFTER_YOU_SECONDS)
        try:
            sock, peer = listening.socket.accept()
        except OSError as error:
            if not isinstance(error, BlockingIOError | ConnectionError):
                self._make_room(f"no connection can be accepted: {error.strerror}")
                time.sleep(0.01)
            return
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            # A response is one small segment: with Nagle's algorithm it waits for the peer's delayed acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if listening.tls is not None:
            try:
                sock = listening.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it is gone already
                return sock.close()
        deadline = time.monotonic() + self._limits.artim_seconds
        self._enter(_Waiting(sock, peer[0], peer[1], deadline, shaking_hands=listening.tls is not None))

    def _enter(self, waiting: _Waiting) -> None:
        if len(self._waiting) >= self._limits.max_waiting:
            self._make_room("it made room for another connection")
        self._waiting[waiting] = None
        self._of_address[waiting.address] += 1
        self._selector.register(waiting.socket, selectors.EVENT_READ, waiting)

    def _enter_closing(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            if isinstance(sock, ssl.SSLSocket):
                sock.unwrap()  # says close_notify (RFC 8446 6.1); the peer's own is not there yet, which is an OSError
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_WR)  # not SSLSocket's own, which would forget the session
        deadline = time.monotonic() + self._limits.artim_seconds
        self._enter(_Waiting(sock, address, 0, deadline, State.AWAITING_CLOSE))

    def _read(self, waiting: _Waiting) -> None:
        try:
            if waiting.shaking_hands:
                self._shake_hands(waiting)
            while waiting in self._waiting:
                piece = waiting.socket.recv(_CHUNK)
                if not piece:
                    return self._drop(waiting)
                if waiting.state is State.AWAITING_REQUEST:
                    self._take(waiting, piece)
        except _WANTS:
            return
        except ssl.SSLWantWriteError:
            self._selector.modify(waiting.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, waiting)
        except ssl.SSLEOFError:
            self._drop(waiting)  # it went without a word, as monitors do
        except ssl.SSLError as error:
            self._drop(waiting, f"TLS: {_plain(error)}")
        except OSError:
            self._drop(waiting)

    def _shake_hands(self, waiting: _Waiting) -> None:
        assert isinstance(waiting.socket, ssl.SSLSocket)
        waiting.socket.do_handshake()
        waiting.shaking_hands = False
        self._selector.modify(waiting.socket, selectors.EVENT_READ, waiting)

    def _take(self, waiting: _Waiting, piece: bytes) -> None:
        waiting.received += piece
        self._bytes += len(piece)
        event = event_of(waiting.received[0])
        if event is not Event.REQUEST:
            return self._answer(waiting, event, f"it began with {event.value}")
        if len(waiting.received) < PDU_HEADER.size:
            return None
        _, length = PDU_HEADER.unpack_from(waiting.received)
        if length > self._limits.request_bytes:
            return self._answer(waiting, Event.INVALID_PDU, f"its association request announced {length} bytes")
        end = PDU_HEADER.size + length
        if len(waiting.received) >= end:
            self._hand_over(waiting, end)
        elif self._bytes > self._limits.waiting_bytes:
            self._drop(max(self._waiting, key=lambda each: len(each.received)), "its request took too much memory")
        return None

    def _hand_over(self, waiting: _Waiting, end: int) -> None:
        self._leave(waiting)
        received = waiting.received
        self._asked(
            Connection(
                waiting.socket,
                waiting.address,
                waiting.port,
                isinstance(waiting.socket, ssl.SSLSocket),
                bytes(received[PDU_HEADER.size : end]),
                bytes(received[end:]),
            )
        )

    def _answer(self, waiting: _Waiting, event: Event, reason: str) -> None:
        """What the state machine does about everything that is no association request."""
        arrow = ARROWS[State.AWAITING_REQUEST, event]
        if event is not Event.ABORT:
            self._dropped(waiting.address, reason)
        self._leave(waiting)
        if arrow.to is State.IDLE:
            waiting.socket.close()
            return
        with contextlib.suppress(OSError):
            waiting.socket.send(_LAST_WORDS[arrow.action])
        self._enter_closing(waiting.socket, waiting.address)

    def _make_room(self, reason: str) -> None:
        """Whoever only has to close goes first; else the one that has waited longest of the address with the most.

        So a neighbour that opens hundreds cannot shut out the others behind the same address: the newest stay.
        """
        closing = next((each for each in self._waiting if each.state is State.AWAITING_CLOSE), None)
        if closing is not None:
            return self._drop(closing)
        if self._waiting:
            crowded = max(self._of_address, key=self._of_address.__getitem__)
            self._drop(next(each for each in self._waiting if each.address == crowded), reason)
        return None

    def _send_home_the_late(self) -> None:
        now = time.monotonic()
        while self._waiting and (first := next(iter(self._waiting))).deadline <= now:
            awaited = first.state is State.AWAITING_REQUEST
            late = f"no association was asked for within {self._limits.artim_seconds:g} s"
            self._drop(first, late if awaited else "")

    def _drop(self, waiting: _Waiting, reason: str = "") -> None:
        if reason:
            self._dropped(waiting.address, reason)
        self._leave(waiting)
        waiting.socket.close()

    def _leave(self, waiting: _Waiting) -> None:
        if waiting not in self._waiting:
            return
        del self._waiting[waiting]
        self._bytes -= len(waiting.received)
        self._of_address[waiting.address] -= 1
        if not self._of_address[waiting.address]:
            del self._of_address[waiting.address]
        self._selector.unregister(waiting.socket)

    def _patience(self) -> float | None:
        first = next(iter(self._waiting), None)
        return None if first is None else max(0.0, first.deadline - time.monotonic())

    def _order(self, what: Callable[[], None]) -> None:
        self._orders.put(what)
        with contextlib.suppress(OSError):  # it has ended; nobody is left to be told
            self._ringer.send(b"\0")

    def _listen_to_orders(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._bell.recv(4096)
        with contextlib.suppress(Empty):
            while True:
                self._orders.get_nowait()()

    def _close_listeners(self) -> None:
        for each in self._listening:
            self._selector.unregister(each.socket)
            each.socket.close()
        self._listening.clear()

    def _end(self) -> None:
        self._stopping = True


def _plain(error: ssl.SSLError) -> str:
    return (error.reason or "the handshake failed").replace("_", " ").lower()
