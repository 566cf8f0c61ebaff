"""What a C-STORE may be answered, as data."""

from dataclasses import dataclass
from enum import IntEnum


class Status(IntEnum):
    """C-STORE statuses that this node gives (PS3.7 9.1.1.1.9, PS3.4 table B.2-1)."""

    SUCCESS = 0x0000
    INVALID_SOP_INSTANCE = 0x0117
    SOP_CLASS_NOT_SUPPORTED = 0x0122
    NOT_AUTHORIZED = 0x0124
    OUT_OF_RESOURCES = 0xA700
    DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000

    @property
    def code(self) -> str:
        """Four hexadecimal digits, as the standard writes them."""
        return f"{self:04X}"


@dataclass(frozen=True)
class Meaning:
    """One row of the table: the standard's name, when this node gives it, and where the standard defines it."""

    status: Status
    name: str
    when: str
    clause: str


TABLE = (
    Meaning(
        Status.SUCCESS,
        "Success",
        "data set and receipt lie in a container, after a data sync that began behind the last byte",
        "PS3.4 B.2.3",
    ),
    Meaning(
        Status.INVALID_SOP_INSTANCE,
        "Refused: invalid SOP instance",
        "the command's SOP Instance UID is empty, longer than 64 characters, has an empty component, or holds anything "
        "but digits and dots",
        "PS3.7 C.4.1.3, PS3.5 9.1",
    ),
    Meaning(
        Status.SOP_CLASS_NOT_SUPPORTED,
        "Refused: SOP class not supported",
        "the command's SOP class is a known class of another service, or not that of its presentation context",
        "PS3.7 C.4.1.2, PS3.8 7.1.1.13",
    ),
    Meaning(
        Status.NOT_AUTHORIZED,
        "Refused: not authorized",
        "the association was accepted, but its calling AE title may not store",
        "PS3.7 C.4.2.1.14",
    ),
    Meaning(
        Status.OUT_OF_RESOURCES,
        "Refused: out of resources",
        "no room (disk, low-water mark, inodes, quota), the medium failed, the index is too far behind, or an error "
        "of the node's own; nothing is kept, and sending again later is right",
        "PS3.4 table B.2-1, A7xx",
    ),
    Meaning(
        Status.DOES_NOT_MATCH_SOP_CLASS,
        "Error: data set does not match SOP class",
        "SOP Class UID or SOP Instance UID of the data set are not those of the command: storing it would acknowledge "
        "an instance that nobody can find",
        "PS3.4 table B.2-1, A9xx",
    ),
    Meaning(
        Status.CANNOT_UNDERSTAND,
        "Error: cannot understand",
        "the data set cannot be parsed up to its pixels in the negotiated transfer syntax, passes a budget (nesting, "
        "inflated size), or lacks a usable SOP Class, SOP Instance, Study or Series Instance UID",
        "PS3.4 table B.2-1, Cxxx",
    ),
)
"""Every status this node gives; each has a test that provokes it."""
