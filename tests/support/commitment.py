"""What others say of instances: pynetdicom as the modality that asks to keep them, and as the PACS that reports."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance


def references(sop_uids: Sequence[str], sop_class: str = CTImageStorage, **more: Any) -> list[Dataset]:
    """Items of a sequence that name these instances, each with these further elements."""
    found = []
    for uid in sop_uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        for keyword, value in more.items():
            setattr(item, keyword, value)
        found.append(item)
    return found


def request(sop_uids: Sequence[str], transaction: str) -> Dataset:
    """What N-ACTION carries (PS3.4 Table J.3-1)."""
    content = Dataset()
    content.TransactionUID, content.ReferencedSOPSequence = transaction, references(sop_uids)
    return content


def report(committed: Sequence[str], failed: Sequence[str], transaction: str, reason: int = 0x0112) -> Dataset:
    """What N-EVENT-REPORT carries (PS3.4 Table J.3-2)."""
    content = request(committed, transaction)
    if failed:
        content.FailedSOPSequence = references(failed, FailureReason=reason)
    return content


def notification(study_uid: str, listed: Mapping[str, Sequence[str]], unavailable: Collection[str] = ()) -> Dataset:
    """What N-CREATE of an Instance Availability Notification carries; `listed` by series (PS3.3 C.4.23)."""
    content = Dataset()
    content.StudyInstanceUID, content.ReferencedPerformedProcedureStepSequence = study_uid, []
    content.ReferencedSeriesSequence = []
    for series_uid, sop_uids in listed.items():
        content.ReferencedSeriesSequence.append(series := Dataset())
        series.SeriesInstanceUID, series.ReferencedSOPSequence = (
            series_uid,
            references(sop_uids, RetrieveAETitle="PACS"),
        )
        for item in series.ReferencedSOPSequence:
            item.InstanceAvailability = "UNAVAILABLE" if item.ReferencedSOPInstanceUID in unavailable else "ONLINE"
    return content


def associate(port: int, calling: str, *, reporting: bool = False, called: str = "DICOMNODE") -> Association:
    """An association for storage commitment with a peer on the loopback, as SCU, or as SCP that is `reporting`."""
    entity = AE(ae_title=calling)
    entity.add_requested_context(StorageCommitmentPushModel)
    roles = [build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)] if reporting else []
    association = entity.associate("127.0.0.1", port, ae_title=called, ext_neg=roles)
    assert association.is_established
    assert association.accepted_contexts, "storage commitment was not accepted"
    return association


def ask(association: Association, sop_uids: Sequence[str], transaction: str) -> int:
    """N-ACTION; returns the status of its response."""
    content, instance = request(sop_uids, transaction), StorageCommitmentPushModelInstance
    status, _ = association.send_n_action(content, 1, StorageCommitmentPushModel, instance)
    return int(status.Status)


def tell(association: Association, committed: Sequence[str], failed: Sequence[str], transaction: str) -> int:
    """N-EVENT-REPORT; returns the status of its response."""
    content, instance = report(committed, failed, transaction), StorageCommitmentPushModelInstance
    status, _ = association.send_n_event_report(content, 2 if failed else 1, StorageCommitmentPushModel, instance)
    return int(status.Status)
