"""What a receiving process is started with: one JSON document, which the node writes and the process reads."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dicomnode.receive.admission import Admission
from dicomnode.receive.board import BoardPlace
from dicomnode.receive.limits import Limits
from dicomnode.receive.receiver import ReceiverSettings
from dicomnode.receive.tls import ServerTls

if TYPE_CHECKING:
    from dicomnode.settings import Settings


@dataclass(frozen=True)
class Launch:
    """The same for all receiving processes of a node. Files of `tls` are read by each process itself."""

    receiver: ReceiverSettings
    root: Path
    """The store's."""
    node: str
    min_free_gb: float
    max_backlog: int
    log_level: str
    drain_seconds: float
    admission: Admission
    tls: ServerTls | None

    @classmethod
    def of(cls, settings: "Settings", drain_seconds: float) -> "Launch":
        """What receiving processes need of the node's settings."""
        return cls(
            receiver=_receiver_settings(settings),
            root=settings.store.root,
            node=settings.node.name,
            min_free_gb=settings.store.min_free_gb,
            max_backlog=settings.store.max_backlog,
            log_level=settings.log.level,
            drain_seconds=drain_seconds,
            admission=Admission.of(settings.dicom),
            tls=ServerTls.of(settings.dicom.tls) if settings.dicom.tls else None,
        )


@dataclass(frozen=True)
class Post:
    """One receiving process's place among the others: its number from 0, and what it inherits by descriptor."""

    process: int
    board: BoardPlace
    plain: tuple[int, ...]
    """Listening sockets for connections without TLS."""
    tls: tuple[int, ...]
    """Listening sockets for connections that begin with it."""


def to_line(launch: Launch, post: Post) -> bytes:
    """One line of JSON."""
    document = {
        **asdict(launch),
        "root": str(launch.root),
        "admission": launch.admission.to_document(),
        "tls": launch.tls.to_document() if launch.tls else None,
        "post": asdict(post),
    }
    return json.dumps(document).encode() + b"\n"


def from_line(line: bytes) -> tuple[Launch, Post]:
    """The opposite of `to_line`."""
    document: dict[str, Any] = json.loads(line)
    return _launch(document), _post(document.pop("post"))


def _launch(document: Mapping[str, Any]) -> Launch:
    tls, receiver = document["tls"], document["receiver"]
    plain = ("node", "min_free_gb", "max_backlog", "log_level", "drain_seconds")
    return Launch(
        receiver=ReceiverSettings(**{**receiver, "limits": Limits(**receiver["limits"])}),
        root=Path(document["root"]),
        admission=Admission.from_document(document["admission"]),
        tls=ServerTls(**tls) if tls else None,
        **{name: document[name] for name in plain},
    )


def _post(document: Mapping[str, Any]) -> Post:
    return Post(document["process"], BoardPlace(**document["board"]), tuple(document["plain"]), tuple(document["tls"]))


def _receiver_settings(settings: "Settings") -> ReceiverSettings:
    dicom = settings.dicom
    limits = Limits(
        artim_seconds=dicom.artim_timeout,
        pdu_seconds=dicom.pdu_timeout,
        idle_seconds=dicom.network_timeout,
        max_pdu=dicom.max_pdu,
    )
    return ReceiverSettings(dicom.host, dicom.port, dicom.max_associations, limits)
