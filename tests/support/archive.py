"""A scripted PACS: it stores, commits and answers queries as it is told, or not at all (pynetdicom, loopback)."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StudyRootQueryRetrieveInformationModelFind
from support.peers import free_port

PUSH_INSTANCE = "1.2.840.10008.1.20.1.1"


@dataclass
class Asked:
    """A request of storage commitment, as it came."""

    transaction_uid: str
    instances: list[tuple[str, str]]

    @property
    def sop_uids(self) -> list[str]:
        return [uid for _, uid in self.instances]


@dataclass
class Archive:
    """A PACS on a free port. What it does may be changed at any time.

    report    how it reports: "before" the response to N-ACTION, "after" it on the same association, "new" on an
              association of its own to `node`, or "never"
    action    the status that it answers N-ACTION with
    failed    Failure Reason by SOP Instance UID of what it says it has lost
    forgets   SOP Instance UIDs that it takes and does not keep
    extra     SOP Instance UIDs that nobody asked about, put into every report
    find      the status that it answers C-FIND with; 0 is the list of what it has
    matches_lists   whether it heeds a list of UIDs in a query
    aborts    the association, whatever it is asked: what Orthanc does to strangers
    """

    commits: bool = True
    finds: bool = True
    report: str = "after"
    action: int = 0x0000
    failed: dict[str, int] = field(default_factory=dict)
    forgets: set[str] = field(default_factory=set)
    extra: list[str] = field(default_factory=list)
    find: int = 0x0000
    matches_lists: bool = True
    aborts: bool = False
    node: tuple[str, int] = ("DICOMNODE", 0)
    ae_title: str = "ARCHIVE"
    port: int = field(default_factory=free_port)
    asked: list[Asked] = field(default_factory=list)
    queries: list[Dataset] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    kept: dict[str, Dataset] = field(default_factory=dict)
    peers: set[tuple[str, int]] = field(default_factory=set)
    """Where requests of storage commitment came from: a port for each association."""
    answers: list[int] = field(default_factory=list)
    """Statuses that its N-EVENT-REPORTs were answered with."""
    failures: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> "Archive":
        entity = AE(ae_title=self.ae_title)
        entity.maximum_associations = 50
        entity.add_supported_context(CTImageStorage, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        if self.commits:
            entity.add_supported_context(StorageCommitmentPushModel)
        if self.finds:
            entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        handlers = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act), (evt.EVT_C_FIND, self._find)]
        server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)  # type: ignore[arg-type]
        assert server is not None
        self._server, self._threads, self._speaking = server, list[threading.Thread](), threading.Lock()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        for thread in self._threads:
            thread.join(60)
        assert not self.failures, self.failures

    def close(self) -> None:
        """Nobody listens any more; what is open is cut."""
        self._server.shutdown()

    def keep(self, datasets: Iterable[Dataset]) -> None:
        """It has these, however they came."""
        self.kept.update({str(each.SOPInstanceUID): each for each in datasets})

    def tell(self, asked: Asked, *, node: tuple[str, int] | None = None) -> int:
        """Report on an association of its own, as this SOP class's SCP. Returns the status of the answer."""
        title, port = node or self.node
        entity = AE(ae_title=self.ae_title)
        entity.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        association = entity.associate("127.0.0.1", port, ae_title=title, ext_neg=[role])
        assert association.is_established, "the node does not take an association for a report"
        status = self._send(association, asked)
        association.release()
        return status

    def _store(self, event: Any) -> int:
        dataset = event.dataset
        uid = str(dataset.SOPInstanceUID)
        self.received.append(uid)
        if uid not in self.forgets:
            self.kept[uid] = dataset
        return 0x0000

    def _act(self, event: Any) -> tuple[int, Dataset | None]:
        data = event.action_information
        items = [
            (str(each.ReferencedSOPClassUID), str(each.ReferencedSOPInstanceUID)) for each in data.ReferencedSOPSequence
        ]
        asked = Asked(str(data.TransactionUID), items)
        self.asked.append(asked)
        self.peers.add((event.assoc.requestor.address, event.assoc.requestor.port))
        if self.aborts:
            event.assoc.abort(block=False)
        elif self.action == 0:
            if self.report == "before":
                self._write_report_first(event.assoc, asked)
            elif self.report == "after":
                self._later(lambda: self._send(event.assoc, asked))
            elif self.report == "new":
                self._later(lambda: self.tell(asked))
        return self.action, None

    def _write_report_first(self, association: Any, asked: Asked) -> None:
        """On the wire before the response: what `send_n_event_report` would wait for cannot come yet."""

        request = N_EVENT_REPORT()
        request.MessageID = 77
        request.AffectedSOPClassUID = StorageCommitmentPushModel
        request.AffectedSOPInstanceUID = PUSH_INSTANCE
        request.EventTypeID, data = self._report(asked)
        request.EventInformation = BytesIO(encode(data, True, True) or b"")
        context = next(
            each for each in association.accepted_contexts if each.abstract_syntax == StorageCommitmentPushModel
        )
        association.dimse.send_msg(request, context.context_id)

    def _send(self, association: Any, asked: Asked) -> int:
        event_type, data = self._report(asked)
        with self._speaking:  # an association of pynetdicom's is not for two threads
            status, _ = association.send_n_event_report(data, event_type, StorageCommitmentPushModel, PUSH_INSTANCE)
            while association._is_paused and association.is_alive():  # or its reactor takes the next one's response
                time.sleep(0.001)
        self.answers.append(int(status.Status))
        return self.answers[-1]

    def _report(self, asked: Asked) -> tuple[int, Dataset]:
        data = Dataset()
        data.TransactionUID = asked.transaction_uid
        reasons = {
            uid: self.failed.get(uid, 0x0112)
            for _, uid in asked.instances
            if uid in self.failed or uid not in self.kept
        }
        strange = [(str(CTImageStorage), uid) for uid in self.extra]
        committed = [_item(*each) for each in [*asked.instances, *strange] if each[1] not in reasons]
        failed = [_item(*each, reasons[each[1]]) for each in asked.instances if each[1] in reasons]
        if committed:
            data.ReferencedSOPSequence = committed
        if failed:
            data.FailedSOPSequence = failed
        return (2 if failed else 1), data

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        self.queries.append(query)
        if self.aborts:
            event.assoc.abort(block=False)
            return
        if self.find:
            yield self.find, None
            return
        wanted = query.SOPInstanceUID
        listed = {str(uid) for uid in ([wanted] if isinstance(wanted, str) else wanted or [])} - {""}
        for uid, dataset in self.kept.items():
            same = (dataset.StudyInstanceUID, dataset.SeriesInstanceUID) == (
                query.StudyInstanceUID,
                query.SeriesInstanceUID,
            )
            if same and (not listed or not self.matches_lists or uid in listed):
                answer = Dataset()
                answer.QueryRetrieveLevel = "IMAGE"
                answer.StudyInstanceUID, answer.SeriesInstanceUID = dataset.StudyInstanceUID, dataset.SeriesInstanceUID
                answer.SOPInstanceUID = uid
                yield 0xFF00, answer

    def _later(self, action: Callable[[], object]) -> None:
        def run() -> None:
            time.sleep(0.05)
            try:
                action()
            except BaseException as failure:
                self.failures.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()


def _item(sop_class: str, uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    if reason is not None:
        item.FailureReason = reason
    return item
