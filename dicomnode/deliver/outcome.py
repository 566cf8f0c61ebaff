"""What an answer of a peer means for a delivery: stored, try again, or set aside with the reason.

Two tables as data, one for C-STORE response statuses (PS3.4 B.2.3, PS3.7 9.1.1.1.9 and Annex C), one for
association rejections (PS3.8 Table 9-21), in the words an administrator reads.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from pydicom.uid import UID


class Outcome(StrEnum):
    """The four ends an attempt to deliver one instance can have."""

    STORED = "stored"
    WARNING = "warning"  # stored as well: PS3.4 B.2.3 calls it "stored with warning"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True)
class StatusMeaning:
    """A run of C-STORE statuses `[first, last]` with one meaning."""

    first: int
    last: int
    outcome: Outcome
    words: str
    clause: str


DUPLICATE = 0x0111
"""Not a status of C-STORE (PS3.7 9.1.1.1.9), but one that some peers give where they keep the first of two."""

STORE_STATUSES = (
    StatusMeaning(0x0000, 0x0000, Outcome.STORED, "stored", "PS3.4 B.2.3"),
    StatusMeaning(0xB000, 0xB000, Outcome.WARNING, "stored; the peer changed some of its attributes", "PS3.4 B.2.3"),
    StatusMeaning(0xB001, 0xB005, Outcome.WARNING, "stored, with a warning", "PS3.7 C.4"),
    StatusMeaning(0xB006, 0xB006, Outcome.WARNING, "stored; the peer left out some of its attributes", "PS3.4 B.2.3"),
    StatusMeaning(0xB007, 0xB007, Outcome.WARNING, "stored; not what its SOP class demands", "PS3.4 B.2.3"),
    StatusMeaning(0xB008, 0xB0FF, Outcome.WARNING, "stored, with a warning", "PS3.7 C.4"),
    StatusMeaning(0xA700, 0xA7FF, Outcome.TRANSIENT, "the peer is out of resources, often disk space", "PS3.4 B.2.3"),
    StatusMeaning(0xA900, 0xA9FF, Outcome.PERMANENT, "not what its SOP class demands", "PS3.4 B.2.3"),
    StatusMeaning(0xC000, 0xCFFF, Outcome.PERMANENT, "the peer cannot understand it", "PS3.4 B.2.3"),
    StatusMeaning(
        DUPLICATE, DUPLICATE, Outcome.PERMANENT, "the peer has an instance of this UID already", "PS3.7 C.5.3"
    ),
    StatusMeaning(0x0117, 0x0117, Outcome.PERMANENT, "the peer calls its UID invalid", "PS3.7 C.5.7"),
    StatusMeaning(0x0122, 0x0122, Outcome.PERMANENT, "the peer does not take its SOP class", "PS3.7 C.5.17"),
    StatusMeaning(0x0124, 0x0124, Outcome.PERMANENT, "the peer does not let this node store it", "PS3.7 C.5.19"),
    StatusMeaning(0x0210, 0x0210, Outcome.PERMANENT, "the peer saw the message ID twice", "PS3.7 C.5.21"),
    StatusMeaning(0x0211, 0x0211, Outcome.PERMANENT, "the peer does not know C-STORE", "PS3.7 C.5.22"),
    StatusMeaning(0x0212, 0x0212, Outcome.PERMANENT, "the peer did not agree to this use of C-STORE", "PS3.7 C.5.23"),
)


@dataclass(frozen=True)
class Response:
    """How one C-STORE ended. `status` is None when no response came; `detail` is a plain sentence.

    `transcoded` says from which transfer syntax to which where the instance was not sent as it is stored.
    """

    outcome: Outcome
    status: int | None
    detail: str
    transcoded: str = ""

    @property
    def stored(self) -> bool:
        """True if the peer has taken responsibility, with or without a warning."""
        return self.outcome in (Outcome.STORED, Outcome.WARNING)

    def as_transcoded(self, ae_title: str, source: str, target: str) -> "Response":
        """The same response, saying that the instance went out in the transfer syntax `target`."""
        what = f"from {UID(source).name} to {UID(target).name}"
        detail = f"{self.detail}; transcoded {what} because {ae_title} does not take the former"
        return replace(self, detail=detail, transcoded=what)


def from_status(status: int) -> Response:
    """The response for a C-STORE-RSP status; a status no clause knows is a permanent failure.

    The Error Comment (0000,0902) of the peer is left out on purpose: it is free text and may quote patient data.
    """
    for row in STORE_STATUSES:
        if row.first <= status <= row.last:
            return Response(row.outcome, status, f"{status:04X}: {row.words} ({row.clause})")
    return Response(Outcome.PERMANENT, status, f"{status:04X}: a status that PS3.4 B.2.3 does not know for C-STORE")


def no_response(detail: str) -> Response:
    """The request went out, at least in part, and no response came back: the peer may or may not have stored it."""
    return Response(Outcome.TRANSIENT, None, detail)


_CONTEXT_RESULTS = {
    1: "rejected by the peer",
    2: "rejected without a reason",
    3: "SOP class not supported",
    4: "transfer syntax not supported",
}


def refused_context(ae_title: str, sop_class_uid: str, transfer_syntax_uid: str, result: int) -> Response:
    """The peer refused the presentation context that the instance needs (PS3.8 Table 9-18, `result` 1 to 4)."""
    why = _CONTEXT_RESULTS.get(result, "not accepted")
    return Response(
        Outcome.PERMANENT,
        None,
        f"{ae_title} does not take {UID(sop_class_uid).name} in {UID(transfer_syntax_uid).name}: {why} (PS3.8 9.3.3.2)",
    )


class FailureKind(StrEnum):
    """What kept an association from coming about, or ended it."""

    CONFIGURATION = "configuration"
    NAME = "name"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    ABORTED = "aborted"
    PROTOCOL = "protocol"
    STOPPED = "stopped"


class AssociationFailed(Exception):
    """No association, or no longer one. `transient` says whether trying again later can help."""

    def __init__(self, kind: FailureKind, reason: str, *, transient: bool) -> None:
        super().__init__(reason)
        self.kind, self.reason, self.transient = kind, reason, transient


_REJECTIONS = {
    (1, 2): "it does not know the DICOM application context name",
    (1, 3): "it does not recognize this node's calling AE title",
    (1, 7): "it does not recognize the called AE title",
    (2, 2): "it does not support this protocol version",
    (3, 1): "it is congested for now",
    (3, 2): "its limit of associations is reached",
}
_PRESENTATION_PROVIDER = 3


def rejected(peer: str, result: int, source: int, diagnostic: int) -> AssociationFailed:
    """The failure for an A-ASSOCIATE-RJ (PS3.8 9.3.4, Table 9-21).

    Transient if the peer says so (`result` 2) or the reason is one of load; else an error in someone's configuration.
    """
    transient = result == 2 or source == _PRESENTATION_PROVIDER
    words = _REJECTIONS.get((source, diagnostic), "it gave no reason")
    prefix = "" if transient else "configuration error: "
    code = f"result {result}, source {source}, reason {diagnostic}"
    reason = f"{prefix}{peer} rejected the association: {words} (PS3.8 9.3.4: {code})"
    return AssociationFailed(
        FailureKind.REJECTED if transient else FailureKind.CONFIGURATION, reason, transient=transient
    )
