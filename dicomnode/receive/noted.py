"""Normalized services whose requests are taken down and answered: success only once the note of it is durable."""

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from dicomnode.domain import command_set as dimse
from dicomnode.domain.data_set import UnreadableDataSet
from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.associations import Associations, OpenAssociation
from dicomnode.receive.command import Command, Reply
from dicomnode.receive.intake import Intake
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.service_statuses import Declined, ServiceStatus
from dicomnode.store.errors import StoreError, StoreFull
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

Take = Callable[[AcceptedContext, Command, Intake], dict[str, Any]]
"""What is kept of a message: its note, `event` included. Raises Declined and UnreadableDataSet."""

_OPERATIONS = {
    dimse.N_EVENT_REPORT_RQ: "N-EVENT-REPORT",
    dimse.N_ACTION_RQ: "N-ACTION",
    dimse.N_CREATE_RQ: "N-CREATE",
}


class NotedService:
    """Answers one association's requests of one service, which is called `name`. Never raises."""

    def __init__(self, name: str, take: Take, journal: Journal, book: Associations, entry: OpenAssociation) -> None:
        self._name, self._take = name, take
        self._journal, self._book, self._entry = journal, book, entry

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> Reply:
        """The response."""
        try:
            note = self._take(context, command, intake)
            self._journal.note(note | self._sender(), sync=True, length=intake.length)
            return Reply(ServiceStatus.SUCCESS, "", dimse.uid(note.get("sop_instance_uid", "")))
        except Declined as declined:
            status, reason = declined.status, declined.reason
        except UnreadableDataSet as error:
            status, reason = ServiceStatus.PROCESSING_FAILURE, f"the data set: {error}"
        except StoreError as error:
            full = isinstance(error, StoreFull)
            status = ServiceStatus.RESOURCE_LIMITATION if full else ServiceStatus.PROCESSING_FAILURE
            reason = f"the store cannot keep it: {error}"
        except Exception:
            LOGGER.exception("a message of %s failed for a reason of our own", self._name)
            status, reason = ServiceStatus.PROCESSING_FAILURE, "an error of the node's own"
        operation = _OPERATIONS.get(command.field, f"an operation {command.field:04X}")
        self._book.declined(self._entry, f"{self._name}: {operation}", status, reason)
        return Reply(status, reason if status is ServiceStatus.PROCESSING_FAILURE else "")

    def _sender(self) -> dict[str, Any]:
        sender = self._entry.sender
        return {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "association": sender.association,
            "calling_aet": sender.calling_aet,
            "called_aet": sender.called_aet,
            "peer": sender.peer,
        }


def whole(intake: Intake) -> memoryview:
    """The data set. Raises Declined where it is longer than is read."""
    if intake.large is not None:
        raise Declined(ServiceStatus.RESOURCE_LIMITATION, f"a data set of {intake.length} bytes")
    return intake.data_set


def demand_class(command: Command, sop_class_uid: str) -> None:
    """Raises Declined where the command names another class."""
    if command.sop_class != sop_class_uid:
        raise Declined(ServiceStatus.NO_SUCH_SOP_CLASS, "the SOP class is not that of the presentation context")


def demand_uids(uids: Iterable[str], names_instances: bool) -> None:
    """Raises Declined where there are no instances, or something is no UID."""
    if not names_instances:
        raise Declined(ServiceStatus.INVALID_ARGUMENT_VALUE, "the data set names no instances")
    if not all(map(is_usable_uid, uids)):
        raise Declined(ServiceStatus.INVALID_ARGUMENT_VALUE, "the data set holds something that is no UID")
