"""Storage commitment, Push Model: asking a destination, and telling a modality (PS3.4 Annex J).

`ask` is this node as SCU towards a destination; `report_commitment` is this node as SCP towards who asked it. What the
peer reports on the association over which it was asked comes here too, see `reports`; what it reports on an
association of its own is received like everything that comes.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

from pydicom import Dataset
from pynetdicom.dsutils import encode

from dicomnode.deliver.association import Association, Syntax
from dicomnode.deliver.conversation import IMPLICIT, Answer, Conversation
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.message import Message
from dicomnode.deliver.n_service import n_action_rq, n_event_report_rq, n_event_report_rsp
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, refused_context
from dicomnode.domain import command_set as dimse
from dicomnode.domain.commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    STORAGE_COMMITMENT,
    CommitmentReport,
    read_report,
)
from dicomnode.domain.data_set import UnreadableDataSet
from dicomnode.observe import log

COMMITMENT: Syntax = (STORAGE_COMMITMENT, IMPLICIT)

Reference = tuple[str, str]
"""(SOP Class UID, SOP Instance UID)."""

Heard = Callable[[int, CommitmentReport], None]
"""Keeps a report: its Event Type ID, and what it says."""

_SUCCESS, _PROCESSING_FAILURE, _INVALID_ARGUMENT = 0x0000, 0x0110, 0x0115


def ask(conversation: Conversation, transaction_uid: str, instances: Sequence[Reference]) -> int:
    """N-ACTION: does the peer keep these instances? Returns the status of its response; the report comes later.

    Raises AssociationFailed and ValueError; the peer may have understood the request all the same.
    """
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = [_item(*reference) for reference in instances]
    return next(conversation.request(COMMITMENT, n_action_rq, _encoded(dataset))).number(dimse.STATUS)


def reports(heard: Heard) -> Answer:
    """What answers a peer's N-EVENT-REPORT: `heard` first, then success. If `heard` raises, the peer is told to retry.

    Raises ValueError for a request that is no N-EVENT-REPORT.
    """

    def answer(message: Message) -> bytes:
        if message.number(dimse.COMMAND_FIELD) != dimse.N_EVENT_REPORT_RQ:
            raise ValueError("the peer sent a request that is no N-EVENT-REPORT")
        event_type = message.number(dimse.EVENT_TYPE_ID)
        status = _SUCCESS
        try:
            report = read_report(message.data_set, IMPLICIT)
            if not report.transaction_uid:
                raise UnreadableDataSet("it lacks the Transaction UID")
            heard(event_type, report)
        except UnreadableDataSet as error:
            log.warning("a report of storage commitment makes no sense", error=str(error))
            status = _INVALID_ARGUMENT
        except Exception as error:
            log.warning("a report of storage commitment cannot be kept", error=type(error).__name__)
            status = _PROCESSING_FAILURE
        return n_event_report_rsp(message.number(dimse.MESSAGE_ID), status, event_type)

    return answer


def report_commitment(
    destination: Destination,
    calling_aet: str,
    transaction_uid: str,
    instances: Sequence[Reference],
    failures: Mapping[str, int],
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
) -> int:
    """Tell a peer, on an association of its own, what became of its request: N-EVENT-REPORT, this node as SCP.

    `instances`: all that it asked about; `failures`: Failure Reason (PS3.3 C.14.1.1) by SOP Instance UID of those that
    are not kept. The role is proposed (PS3.4 J.3.3.2, PS3.7 D.3.3.4); a peer that accepts the context without a word
    about roles is told all the same. Returns the status of the response, 0x0000 where the peer has understood.

    Raises AssociationFailed; permanent where the peer refuses the context.
    """
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    kept = [_item(*reference) for reference in instances if reference[1] not in failures]
    lost = [_item(*reference, failures[reference[1]]) for reference in instances if reference[1] in failures]
    if kept:
        dataset.ReferencedSOPSequence = kept
    if lost:
        dataset.FailedSOPSequence = lost
    event_type = FAILURES_EXIST if lost else ALL_COMMITTED
    association = Association.request(
        destination, calling_aet, [COMMITMENT], timeouts, stop or threading.Event(), provided=[STORAGE_COMMITMENT]
    )
    try:
        if COMMITMENT not in association.contexts:
            words = refused_context(destination.ae_title, *COMMITMENT, association.refused[COMMITMENT]).detail
            raise AssociationFailed(FailureKind.REJECTED, words, transient=False)
        conversation = Conversation(association, timeouts.dimse)
        request = lambda message_id: n_event_report_rq(message_id, event_type)  # noqa: E731 - as long as its name
        status = next(conversation.request(COMMITMENT, request, _encoded(dataset))).number(dimse.STATUS)
        association.release()
        return status
    except ValueError as error:
        raise AssociationFailed(
            FailureKind.PROTOCOL, f"the peer broke the protocol: {error}", transient=True
        ) from error
    finally:
        association.abort()


def _item(sop_class_uid: str, sop_instance_uid: str, failure: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    if failure is not None:
        item.FailureReason = failure
    return item


def _encoded(dataset: Dataset) -> bytes:
    encoded = encode(dataset, True, True)
    if not encoded:
        raise ValueError("a request of storage commitment cannot be encoded")
    return bytes(encoded)
