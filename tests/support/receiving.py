"""A receiver that listens on a free port, for the length of a test, and what it left in its store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.rawsend import RawSender

from dicomnode.receive.admission import Admission
from dicomnode.receive.limits import Limits
from dicomnode.receive.listening import Listening, listen
from dicomnode.receive.receiver import ReceiverSettings, StorageReceiver
from dicomnode.receive.store_request import Refusal
from dicomnode.receive.tls import ServerTls, server_context
from dicomnode.settings import DicomSettings
from dicomnode.store.journal import Journal
from dicomnode.store.members import EventMember, InstanceMember, Member, members
from dicomnode.store.reading import containers


@dataclass
class Receiving:
    """A running receiver, its journal and its store's root."""

    root: Path
    journal: Journal
    receiver: StorageReceiver
    tls_port: int = 0
    """0 without TLS."""
    _read_to: dict[str, int] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return self.receiver.port

    def sender(self, calling: str = "MODALITY", called: str = "DICOMNODE") -> RawSender:
        return RawSender("127.0.0.1", self.port, called, calling)

    def instances(self) -> list[InstanceMember]:
        """Every instance stored so far, verified, in the order of the containers."""
        return [m for c in containers(self.root) for m in self._members(c.name) if isinstance(m, InstanceMember)]

    def news(self) -> list[Member]:
        """Every member, verified, that was not there when this was last called."""
        found: list[Member] = []
        for container in containers(self.root):
            for member in self._members(container.name, self._read_to.get(container.name, 0)):
                self._read_to[container.name] = member.next_offset
                found.append(member)
        return found

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of this name noted so far."""
        found = [m.event for c in containers(self.root) for m in self._members(c.name) if isinstance(m, EventMember)]
        return [event for event in found if event["event"] == name]

    def _members(self, container: str, offset: int = 0) -> Iterator[Member]:
        with suppress(FileNotFoundError):  # of a large instance that was cut off since the container was listed
            yield from members(self.root, container, offset)


@contextmanager
def receiving(
    root: Path,
    *,
    gate: Callable[[], Refusal | None] | None = None,
    min_free_gb: float = 0.0,
    max_associations: int = 64,
    limits: Limits = Limits(artim_seconds=60.0),
    **settings: Any,
) -> Iterator[Receiving]:
    """Start a receiver on free ports of the loopback, `settings` being those of `dicom`; stop it afterwards.

    Who asks for an association has more time than a node gives: this machine may stand still between two calls.
    """
    journal = Journal(root, "node", "receive0", min_free_gb=min_free_gb)
    dicom = DicomSettings(**settings)
    wanted = ReceiverSettings(port=0, max_associations=max_associations, limits=limits)
    receiver = StorageReceiver(wanted, journal, gate=gate or (lambda: None), admission=Admission.of(dicom))
    listening = [Listening(listen("127.0.0.1", 0))]
    if dicom.tls is not None:
        listening.append(Listening(listen("127.0.0.1", 0), server_context(ServerTls.of(dicom.tls))))
    tls_port = listening[-1].socket.getsockname()[1] if dicom.tls else 0
    receiver.start(listening)
    try:
        yield Receiving(root, journal, receiver, tls_port)
    finally:
        receiver.stop(drain_seconds=1.0)
        journal.close()
