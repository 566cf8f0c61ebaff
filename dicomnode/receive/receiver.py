"""The Storage and Verification SCP: a lobby, a thread for each association, and what they share."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicomnode.receive.admission import Admission
from dicomnode.receive.association import Acceptor, Association
from dicomnode.receive.associations import Associations
from dicomnode.receive.connection import Connection
from dicomnode.receive.keeper import Keeper
from dicomnode.receive.limits import Limits
from dicomnode.receive.listening import Listening, listen
from dicomnode.receive.lobby import Lobby
from dicomnode.receive.meter import Meter, NoMeter
from dicomnode.receive.slots import LocalSlots, Slots
from dicomnode.receive.store_request import Refusal
from dicomnode.store.header import silence_pydicom
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

_POLL_SECONDS = 0.02

_YIELD_SECONDS = 0.5
"""How long an association that is told to make room may take: its place is needed by somebody who waits."""

_ABORT_SECONDS = 2.0
"""How long aborted associations may take to end before the receiver goes without them."""


@dataclass(frozen=True)
class ReceiverSettings:
    """Where the receiver listens, and what each peer may take of it."""

    host: str = "127.0.0.1"
    port: int = 11112
    """0 takes a free one: see `StorageReceiver.port`."""
    max_associations: int = 64
    limits: Limits = field(default_factory=Limits)


def _open_gate() -> Refusal | None:
    return None


class StorageReceiver:
    """Receives instances into a journal. `gate` is asked before each: its refusal is answered with A700."""

    def __init__(
        self,
        settings: ReceiverSettings,
        journal: Journal,
        *,
        gate: Callable[[], Refusal | None] = _open_gate,
        meter: Meter | None = None,
        slots: Slots | None = None,
        admission: Admission = Admission(),
    ) -> None:
        """Without `slots` it counts its own associations alone; without `admission` everybody is let in."""
        self._settings = settings
        meter = meter or NoMeter()
        self._book = Associations(journal, meter)
        self._acceptor = Acceptor(
            limits=settings.limits,
            admission=admission,
            slots=slots or LocalSlots(settings.max_associations),
            journal=journal,
            keeper=Keeper(journal, gate),
            book=self._book,
            meter=meter,
            ended=self._ended,
            make_room=self._make_room,
        )
        self._lock = threading.Lock()
        self._serving: set[Association] = set()
        self._lobby: Lobby | None = None
        self._port = settings.port

    @property
    def port(self) -> int:
        """The port that is listened on: of several the first."""
        return self._port

    def open_associations(self, calling_aet: str | None = None) -> int:
        """The number of open associations, of all senders or of one calling AE title."""
        return self._book.count(calling_aet)

    def tell_again(self) -> None:
        """Note the events that the store could not take before, if it can now."""
        self._book.tell_again()

    def start(self, listening: Sequence[Listening] = ()) -> None:
        """Serve connections to these sockets, or to one of our own. Raises PortTaken or CannotListen."""
        silence_pydicom()
        listening = listening or (Listening(listen(self._settings.host, self._settings.port)),)
        self._port = int(listening[0].socket.getsockname()[1])
        slots = self._acceptor.slots
        self._lobby = Lobby(listening, self._acceptor.limits, self._asked, self._book.drop, slots.is_crowded)
        self._lobby.start()

    def stop(self, drain_seconds: float = 10.0) -> None:
        """Take no new association, let the open ones finish for `drain_seconds`, then abort what is left."""
        lobby = self._lobby
        if lobby is None:
            return
        lobby.stop_listening()
        deadline = time.monotonic() + drain_seconds
        while self._book.count() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        self._abort_all()
        self._lobby = None
        lobby.stop()

    def _asked(self, connection: Connection) -> None:
        association = Association(connection, self._acceptor)
        with self._lock:
            self._serving.add(association)
        try:
            association.start()
        except RuntimeError as error:  # no thread to be had: as good as no slot, but said from here
            self._book.drop(connection.address, f"no thread could be started: {error}")
            self._ended(association, b"")

    def _ended(self, association: Association, last_word: bytes) -> None:
        connection = association.connection
        with self._lock:
            self._serving.discard(association)
        lobby = self._lobby
        if last_word:
            with contextlib.suppress(OSError):
                connection.socket.setblocking(False)
                connection.socket.send(last_word)
        if last_word and lobby is not None:
            lobby.await_close(connection.socket, connection.address)
        else:
            connection.socket.close()

    def _make_room(self) -> bool:
        """Of those that have left something half said for too long, the one that has done so longest goes."""
        with self._lock:
            longest = max(self._serving, key=Association.stalled_seconds, default=None)
        if longest is None or longest.stalled_seconds() < self._settings.limits.stalled_seconds:
            return False
        longest.stop("it had stalled, and another one needed its place")
        longest.join(_YIELD_SECONDS)
        return True

    def _abort_all(self) -> None:
        with self._lock:
            serving = list(self._serving)
        for association in serving:
            association.stop("the node stops")
        deadline = time.monotonic() + _ABORT_SECONDS
        for association in serving:
            association.join(max(0.0, deadline - time.monotonic()))
