"""The Storage and Verification SCP: pynetdicom's acceptor, with our rules at its documented hooks."""

import contextlib
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID
from dicomnode.receive.associations import Associations
from dicomnode.receive.handlers import Handlers
from dicomnode.receive.keeper import Keeper, Refusal
from dicomnode.receive.meter import Meter, NoMeter
from dicomnode.store.header import silence_pydicom
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import IMPLEMENTATION_VERSION_NAME

_MAXIMUM_PDU_SIZE = 131072
"""pynetdicom's default of 16382 costs a fifth of the rate."""

_LISTEN_BACKLOG = 128
"""socketserver's default of 5 turns a burst of senders into connection retries of a second."""

_POLL_SECONDS = 0.02

_ABORT_SECONDS = 2.0
"""How long aborted associations may take to end before their connections are cut."""


class CannotListen(Exception):
    """The receiver's port cannot be opened; the message is for the administrator."""


class PortTaken(CannotListen):
    """Another program listens on the port."""


@dataclass(frozen=True)
class ReceiverSettings:
    """How the receiver is reached, and by whom."""

    ae_title: str = "DICOMNODE"
    host: str = "127.0.0.1"
    port: int = 11112
    """0 takes a free one: see `StorageReceiver.port`."""

    check_called_aet: bool = True
    allowed_calling_aets: Collection[str] = ()
    """Empty: any."""

    verbs: Mapping[str, Collection[str]] = field(default_factory=dict)
    """What a calling AE title may do, where it is listed (`store`); others may do everything."""

    max_associations: int = 64
    idle_seconds: float = 300.0
    """An association over which nothing comes for so long is aborted."""


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
    ) -> None:
        self._settings = settings
        meter = meter or NoMeter()
        self._associations = Associations(journal, meter)
        keeper = Keeper(journal, gate, settings.verbs)
        self._handlers = Handlers(keeper, self._associations, meter)
        self._server: ThreadedAssociationServer | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def open_associations(self, calling_aet: str | None = None) -> int:
        """The number of open associations, of all senders or of one calling AE title."""
        return self._associations.count(calling_aet)

    def start(self) -> None:
        """Listen. Raises PortTaken or CannotListen."""
        _prepare_library()
        address = (self._settings.host, self._settings.port)
        try:
            self._server = self._entity().start_server(address, block=False, evt_handlers=self._handlers.bound())
            self._server.socket.listen(_LISTEN_BACKLOG)
        except OSError as error:
            raise _cannot_listen(error, *address) from error

    def stop(self, drain_seconds: float = 10.0) -> None:
        """Take no new association, let the open ones finish for `drain_seconds`, then abort what is left."""
        server, self._server = self._server, None
        if server is None:
            return
        server.shutdown()
        deadline = time.monotonic() + drain_seconds
        while self._associations.count() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        _end(server.active_associations)

    def _entity(self) -> AE:
        entity = AE(ae_title=self._settings.ae_title)
        entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.maximum_pdu_size = _MAXIMUM_PDU_SIZE
        entity.maximum_associations = self._settings.max_associations
        entity.network_timeout = self._settings.idle_seconds
        entity.require_called_aet = self._settings.check_called_aet
        entity.require_calling_aet = list(self._settings.allowed_calling_aets)
        return entity


def _end(associations: Collection[Association]) -> None:
    """Abort what is established, cut what is not: and cut what does not end then, such as a peer inside a PDU.

    pynetdicom's `abort` and `kill` wait for the peer without a limit of their own, hence the threads.
    """
    established = [association for association in associations if association.is_established]
    for association in established:
        threading.Thread(target=association.abort, daemon=True).start()
    deadline = time.monotonic() + _ABORT_SECONDS
    for association in established:
        association.join(timeout=max(0.0, deadline - time.monotonic()))
    for association in associations:
        transport = association.dul.socket
        if association.is_alive() and transport is not None and transport.socket is not None:
            with contextlib.suppress(OSError):
                transport.socket.shutdown(socket.SHUT_RDWR)


def _prepare_library() -> None:
    """pynetdicom's switches that hold for the whole process.

    Every C-STORE reaches our handler, whatever its SOP class. UIDs are judged there and answered with a status:
    pynetdicom itself would abort the association for a long one. Its own log would tell of patients.
    """
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.VALIDATORS["UI"] = lambda value: (True, "")
    _config.LOG_HANDLER_LEVEL = "none"
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    silence_pydicom()


def _cannot_listen(error: OSError, host: str, port: int) -> CannotListen:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} on {host} is taken by another program")
    if error.errno == errno.EACCES:
        return CannotListen(f"this user may not listen on port {port}: ports below 1024 need a privilege")
    if isinstance(error, socket.gaierror):
        return CannotListen(f"{host!r} is not an address of this machine")
    return CannotListen(f"port {port} on {host} cannot be opened: {error.strerror}")
