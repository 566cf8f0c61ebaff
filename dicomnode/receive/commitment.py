"""Storage Commitment Push Model over one association: requests to this node, and reports to it (PS3.4 Annex J).

Both are only taken down here. What is promised is for the flow to judge and to say, over an association of its own;
what was reported is applied by whoever asked, on whatever node.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from dicomnode.domain import commitment
from dicomnode.domain.command_set import N_ACTION_RQ, N_EVENT_REPORT_RQ
from dicomnode.domain.commitment import CommitmentReport, CommitmentRequest
from dicomnode.domain.data_set import UnreadableDataSet
from dicomnode.receive.associations import Associations, OpenAssociation
from dicomnode.receive.command import Command
from dicomnode.receive.intake import Intake
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.service_statuses import Declined, ServiceStatus
from dicomnode.receive.uids import is_usable_uid
from dicomnode.store.errors import StoreError, StoreFull
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

_OPERATIONS = {N_ACTION_RQ: "N-ACTION", N_EVENT_REPORT_RQ: "N-EVENT-REPORT"}


class StorageCommitment:
    """Answers one association's N-ACTION and N-EVENT-REPORT requests. Success only once the note of it is durable."""

    def __init__(self, journal: Journal, book: Associations, entry: OpenAssociation) -> None:
        self._journal, self._book, self._entry = journal, book, entry

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> tuple[int, str]:
        """Status and Error Comment. Never raises."""
        try:
            self._journal.note(self._note(context, command, intake), sync=True, length=intake.length)
            return ServiceStatus.SUCCESS, ""
        except Declined as declined:
            status, reason = declined.status, declined.reason
        except StoreError as error:
            full = isinstance(error, StoreFull)
            status = ServiceStatus.RESOURCE_LIMITATION if full else ServiceStatus.PROCESSING_FAILURE
            reason = f"the store cannot keep it: {error}"
        except Exception:
            LOGGER.exception("a message of storage commitment failed for a reason of our own")
            status, reason = ServiceStatus.PROCESSING_FAILURE, "an error of the node's own"
        operation = _OPERATIONS.get(command.field, f"an operation {command.field:04X}")
        self._book.declined(self._entry, f"storage commitment: {operation}", status, reason)
        return status, reason if status is ServiceStatus.PROCESSING_FAILURE else ""

    def _note(self, context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
        """What is kept of the message. Raises Declined."""
        _demand_role(context, command)
        if command.sop_class != commitment.STORAGE_COMMITMENT:
            raise Declined(ServiceStatus.NO_SUCH_SOP_CLASS, "the SOP class is not that of the presentation context")
        if command.sop_instance != commitment.WELL_KNOWN_INSTANCE:
            raise Declined(ServiceStatus.NO_SUCH_SOP_INSTANCE, "another SOP instance than the well-known one")
        note = self._request if command.field == N_ACTION_RQ else self._report
        try:
            return note(context, command, intake)
        except UnreadableDataSet as error:
            raise Declined(ServiceStatus.PROCESSING_FAILURE, f"the data set: {error}") from None

    def _request(self, context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
        if command.type_id != commitment.REQUEST_COMMITMENT:
            raise Declined(ServiceStatus.NO_SUCH_ACTION, f"action type {command.type_id}")
        request = commitment.read_request(_whole(intake), context.transfer_syntax)
        _demand_uids(request, bool(request.instances))
        return self._event("commitment-request") | request.to_json()

    def _report(self, context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
        if command.type_id not in (commitment.ALL_COMMITTED, commitment.FAILURES_EXIST):
            raise Declined(ServiceStatus.NO_SUCH_EVENT_TYPE, f"event type {command.type_id}")
        report = commitment.read_report(_whole(intake), context.transfer_syntax)
        _demand_uids(report, bool(report.committed or report.failed))
        return self._event("commitment-report") | {"event_type": command.type_id} | report.to_json()

    def _event(self, event: str) -> dict[str, Any]:
        sender = self._entry.sender
        return {
            "event": event,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "association": sender.association,
            "calling_aet": sender.calling_aet,
            "called_aet": sender.called_aet,
            "peer": sender.peer,
        }


def _demand_role(context: AcceptedContext, command: Command) -> None:
    """Who asks is SCU, who reports is SCP: nobody may do what was not negotiated."""
    having = {N_ACTION_RQ: context.roles.scu, N_EVENT_REPORT_RQ: context.roles.scp}
    if command.field not in having:
        raise Declined(ServiceStatus.UNRECOGNIZED_OPERATION, "storage commitment has no such operation")
    if not having[command.field]:
        raise Declined(ServiceStatus.UNRECOGNIZED_OPERATION, "the role that this takes was not negotiated")


def _whole(intake: Intake) -> memoryview:
    if intake.large is not None:
        raise Declined(ServiceStatus.RESOURCE_LIMITATION, f"a data set of {intake.length} bytes")
    return intake.data_set


def _demand_uids(content: CommitmentRequest | CommitmentReport, names_instances: bool) -> None:
    if not names_instances:
        raise Declined(ServiceStatus.INVALID_ARGUMENT_VALUE, "the data set names no instances")
    if not all(map(is_usable_uid, content.uids)):
        raise Declined(ServiceStatus.INVALID_ARGUMENT_VALUE, "the data set holds something that is no UID")
