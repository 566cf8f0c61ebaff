"""Storage Commitment Push Model: what a request and a report say (PS3.4 Annex J)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dicomnode.domain import data_set
from dicomnode.domain.data_set import Elements

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The one instance of the class: whatever is asked or reported, it is of this one (PS3.4 J.3.5)."""

REQUEST_COMMITMENT = 1
"""The only action type (PS3.4 J.3.2)."""
ALL_COMMITTED, FAILURES_EXIST = 1, 2
"""Event types (PS3.4 J.3.3)."""

PROCESSING_FAILURE = 0x0110
"""The failure reason of an instance for which the report gives none."""

_TRANSACTION_UID = 0x00081195
_FAILURE_REASON = 0x00081197
_FAILED_SOP_SEQUENCE = 0x00081198
_REFERENCED_SOP_SEQUENCE = 0x00081199
_REFERENCED_SOP_CLASS_UID = 0x00081150
_REFERENCED_SOP_INSTANCE_UID = 0x00081155
_VALUES = (_TRANSACTION_UID, _FAILURE_REASON, _REFERENCED_SOP_CLASS_UID, _REFERENCED_SOP_INSTANCE_UID)
_SEQUENCES = (_FAILED_SOP_SEQUENCE, _REFERENCED_SOP_SEQUENCE)


@dataclass(frozen=True)
class CommitmentRequest:
    """Instances, as (SOP Class UID, SOP Instance UID), that somebody wants kept (PS3.4 Table J.3-1)."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]

    @property
    def uids(self) -> Iterable[str]:
        """Every UID in it."""
        return (self.transaction_uid, *(uid for pair in self.instances for uid in pair))

    def to_json(self) -> dict[str, Any]:
        return {"transaction_uid": self.transaction_uid, "instances": [list(pair) for pair in self.instances]}


@dataclass(frozen=True)
class CommitmentReport:
    """SOP Instance UIDs that are kept, and those that are not, with the reason (PS3.4 Table J.3-2, J.3.3.1.1)."""

    transaction_uid: str
    committed: tuple[str, ...]
    failed: tuple[tuple[str, int], ...]

    @property
    def uids(self) -> Iterable[str]:
        """Every UID in it."""
        return (self.transaction_uid, *self.committed, *(uid for uid, _ in self.failed))

    def to_json(self) -> dict[str, Any]:
        return {
            "transaction_uid": self.transaction_uid,
            "committed": list(self.committed),
            "failed": [list(pair) for pair in self.failed],
        }


def read_request(encoded: bytes | memoryview, transfer_syntax_uid: str) -> CommitmentRequest:
    """The data set of an N-ACTION-RQ; what it lacks is empty. Raises UnreadableDataSet."""
    elements = _read(encoded, transfer_syntax_uid)
    listed = data_set.items(elements, _REFERENCED_SOP_SEQUENCE)
    instances = tuple((data_set.text(item, _REFERENCED_SOP_CLASS_UID), _instance(item)) for item in listed)
    return CommitmentRequest(data_set.text(elements, _TRANSACTION_UID), instances)


def read_report(encoded: bytes | memoryview, transfer_syntax_uid: str) -> CommitmentReport:
    """The data set of an N-EVENT-REPORT-RQ; what it lacks is empty. Raises UnreadableDataSet."""

    def reason(item: Elements) -> int:
        given = data_set.number(item, _FAILURE_REASON, transfer_syntax_uid)
        return PROCESSING_FAILURE if given is None else given

    elements = _read(encoded, transfer_syntax_uid)
    return CommitmentReport(
        data_set.text(elements, _TRANSACTION_UID),
        tuple(_instance(item) for item in data_set.items(elements, _REFERENCED_SOP_SEQUENCE)),
        tuple((_instance(item), reason(item)) for item in data_set.items(elements, _FAILED_SOP_SEQUENCE)),
    )


def _read(encoded: bytes | memoryview, transfer_syntax_uid: str) -> Elements:
    return data_set.read(encoded, transfer_syntax_uid, _VALUES, _SEQUENCES)


def _instance(item: Elements) -> str:
    return data_set.text(item, _REFERENCED_SOP_INSTANCE_UID)
