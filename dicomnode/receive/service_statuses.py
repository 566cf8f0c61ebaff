"""What a request of a normalized service may be answered, as data."""

from dataclasses import dataclass
from enum import IntEnum


class ServiceStatus(IntEnum):
    """DIMSE-N statuses that this node gives (PS3.7 Annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_SOP_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115
    INVALID_SOP_INSTANCE = 0x0117
    NO_SUCH_SOP_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213

    @property
    def code(self) -> str:
        """Four hexadecimal digits, as the standard writes them."""
        return f"{self:04X}"


@dataclass(frozen=True)
class Meaning:
    """One row of the table: when this node gives a status, and where the standard defines it."""

    status: ServiceStatus
    when: str
    clause: str


TABLE = (
    Meaning(ServiceStatus.SUCCESS, "what was said lies in the journal, after a data sync that began behind it", "C.1"),
    Meaning(
        ServiceStatus.PROCESSING_FAILURE,
        "the data set cannot be read, the medium failed, or an error of the node's own",
        "C.5.21",
    ),
    Meaning(ServiceStatus.NO_SUCH_SOP_INSTANCE, "another instance than the class's well-known one", "C.5.19"),
    Meaning(ServiceStatus.NO_SUCH_EVENT_TYPE, "an Event Type ID that the class does not have", "C.5.18"),
    Meaning(
        ServiceStatus.INVALID_ARGUMENT_VALUE,
        "the data set lacks what it must name, or names something that is no UID",
        "C.5.10",
    ),
    Meaning(
        ServiceStatus.INVALID_SOP_INSTANCE, "the instance to be made is named by something that is no UID", "C.5.12"
    ),
    Meaning(ServiceStatus.NO_SUCH_SOP_CLASS, "another class than that of the presentation context", "C.5.20"),
    Meaning(ServiceStatus.NO_SUCH_ACTION, "an Action Type ID that the class does not have", "C.5.24"),
    Meaning(
        ServiceStatus.UNRECOGNIZED_OPERATION,
        "an operation that the class does not have, or that belongs to a role which was not negotiated",
        "C.5.23",
    ),
    Meaning(
        ServiceStatus.RESOURCE_LIMITATION,
        "no room for it (disk, low-water mark, inodes, quota), or a data set longer than is read",
        "C.5.22",
    ),
)
"""Every status this node gives, with its clause in PS3.7; each has a test that provokes it."""


class Declined(Exception):
    """This request is answered with `status`, for this reason."""

    def __init__(self, status: ServiceStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
