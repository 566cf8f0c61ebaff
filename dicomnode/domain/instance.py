"""A received SOP instance: where its bytes lie and how they came."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, order=True)
class Location:
    """Bytes `[offset, offset + length)` of a container: one complete DICOM Part 10 file."""

    container: str
    offset: int
    length: int


@dataclass(frozen=True)
class Receipt:
    """What the receiver attests about one stored instance; written behind its bytes, in the same container.

    `sha256` covers the data set as it came over the wire followed by the transfer syntax UID (ASCII), never the
    file meta information. `received_at` is ISO 8601 in UTC. `association` is unique for ever.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    length: int
    sha256: str
    calling_aet: str
    called_aet: str
    peer: str
    association: str
    received_at: str

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Receipt":
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})
