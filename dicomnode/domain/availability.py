"""Instance Availability Notification: what an N-CREATE of it says (PS3.4 Annex R, PS3.3 C.4.23)."""

from dataclasses import dataclass
from typing import Any

from dicomnode.domain import data_set

AVAILABILITY_NOTIFICATION = "1.2.840.10008.5.1.4.33"
UNAVAILABLE = "UNAVAILABLE"
"""Of the values of Instance Availability the one that says that an instance cannot be had from there any more."""

_INSTANCE_AVAILABILITY = 0x00080056
_REFERENCED_SERIES_SEQUENCE = 0x00081115
_REFERENCED_SOP_INSTANCE_UID = 0x00081155
_REFERENCED_SOP_SEQUENCE = 0x00081199
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_VALUES = (_INSTANCE_AVAILABILITY, _REFERENCED_SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID)
_SEQUENCES = (_REFERENCED_SERIES_SEQUENCE, _REFERENCED_SOP_SEQUENCE)


@dataclass(frozen=True)
class Availability:
    """Instances of one study as (Series Instance UID, SOP Instance UID): to be had, or not any more."""

    study_uid: str
    available: tuple[tuple[str, str], ...]
    unavailable: tuple[tuple[str, str], ...]

    @property
    def uids(self) -> tuple[str, ...]:
        """Every UID in it."""
        return (self.study_uid, *(uid for pair in (*self.available, *self.unavailable) for uid in pair))

    def to_json(self) -> dict[str, Any]:
        return {
            "study_uid": self.study_uid,
            "available": [list(pair) for pair in self.available],
            "unavailable": [list(pair) for pair in self.unavailable],
        }


def read_notification(encoded: bytes | memoryview, transfer_syntax_uid: str) -> Availability:
    """The data set of an N-CREATE-RQ; what it lacks is empty. Raises UnreadableDataSet."""
    elements = data_set.read(encoded, transfer_syntax_uid, _VALUES, _SEQUENCES)
    available: list[tuple[str, str]] = []
    unavailable: list[tuple[str, str]] = []
    for series in data_set.items(elements, _REFERENCED_SERIES_SEQUENCE):
        series_uid = data_set.text(series, _SERIES_INSTANCE_UID)
        for item in data_set.items(series, _REFERENCED_SOP_SEQUENCE):
            gone = data_set.text(item, _INSTANCE_AVAILABILITY) == UNAVAILABLE
            pair = (series_uid, data_set.text(item, _REFERENCED_SOP_INSTANCE_UID))
            (unavailable if gone else available).append(pair)
    return Availability(data_set.text(elements, _STUDY_INSTANCE_UID), tuple(available), tuple(unavailable))
