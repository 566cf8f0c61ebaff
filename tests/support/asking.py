"""A modality that asks for storage commitment, and listens for the answer. pynetdicom's SCU and acceptor.

with AskingModality("CT1") as modality:
    assert modality.ask(node.dicom_port, "1.2.3", instances) == 0x0000
    modality.wait_for(1)
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from support.peers import free_port

Reference = tuple[str, str]
"""(SOP Class UID, SOP Instance UID)."""


@dataclass(frozen=True)
class Told:
    """One N-EVENT-REPORT-RQ: from whom, and what it says."""

    calling_aet: str
    event_type: int
    transaction_uid: str
    committed: frozenset[Reference]
    failed: frozenset[tuple[str, str, int]]

    @property
    def reasons(self) -> dict[str, int]:
        """FailureReason by SOP Instance UID."""
        return {uid: reason for _, uid, reason in self.failed}


class AskingModality:
    """Listens on `port` of loopback between `start` and `stop`. `status` is what it answers a report."""

    def __init__(self, ae_title: str = "MODALITY", port: int | None = None) -> None:
        self.ae_title, self.port = ae_title, port or free_port()
        self.told: list[Told] = []
        self.status = 0x0000
        self._server: Any = None
        self._news = threading.Condition()

    def start(self) -> None:
        ae = AE(ae_title=self.ae_title)
        ae.require_called_aet = True
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_N_EVENT_REPORT, self._hear)]
        self._server = ae.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def ask(self, port: int, transaction_uid: str, instances: Sequence[Reference], called: str = "DICOMNODE") -> int:
        """N-ACTION on an association of its own; the status of the response."""
        ae = AE(ae_title=self.ae_title)
        ae.add_requested_context(StorageCommitmentPushModel)
        roles = [build_role(StorageCommitmentPushModel, scu_role=True, scp_role=False)]
        association = ae.associate("127.0.0.1", port, ae_title=called, ext_neg=roles)
        assert association.is_established, "the node takes no request for storage commitment"
        try:
            request = Dataset()
            request.TransactionUID = transaction_uid
            request.ReferencedSOPSequence = [_item(*reference) for reference in instances]
            well_known = StorageCommitmentPushModelInstance
            status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, well_known)
            return int(status.Status)
        finally:
            association.release()

    def wait_for(self, count: int, seconds: float = 60.0) -> list[Told]:
        """The reports so far, once there are `count` of them."""
        deadline = time.monotonic() + seconds
        with self._news:
            while len(self.told) < count:
                if not self._news.wait(max(deadline - time.monotonic(), 0)):
                    pytest.fail(f"{len(self.told)} of {count} reports came within {seconds:g} s")
            return list(self.told)

    def _hear(self, event: Any) -> tuple[int, None]:
        report = event.event_information
        committed = frozenset(_reference(item) for item in report.get("ReferencedSOPSequence") or ())
        failed = frozenset(
            (*_reference(item), int(item.FailureReason)) for item in report.get("FailedSOPSequence") or ()
        )
        told = Told(
            event.assoc.requestor.ae_title, int(event.event_type), str(report.TransactionUID), committed, failed
        )
        with self._news:
            self.told.append(told)
            self._news.notify_all()
        return self.status, None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _item(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _reference(item: Dataset) -> Reference:
    return str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID)
