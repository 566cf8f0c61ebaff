"""What answers the messages of one association: each service its own."""

from collections.abc import Mapping
from typing import Protocol

from dicomnode.domain.command_set import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ
from dicomnode.receive.command import Command, Reply
from dicomnode.receive.intake import Intake, Overflow, ReadOver
from dicomnode.receive.negotiation import VERIFICATION, AcceptedContext
from dicomnode.receive.service_statuses import ServiceStatus
from dicomnode.receive.storage import Storage


class NormalizedService(Protocol):
    """A service of DIMSE-N (PS3.7 10). Never raises."""

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> Reply:
        """The response."""


class Services:
    """Verification (PS3.4 Annex A), Storage, and the normalized services by their SOP classes. Never raises."""

    def __init__(self, storage: Storage, normalized: Mapping[str, NormalizedService]) -> None:
        self._storage, self._normalized = storage, normalized

    def open_large(self, context: AcceptedContext, command: Command) -> Overflow:
        """Where the data set of this message goes, which is too large for memory: kept is none but an instance."""
        return self._storage.open_large(context, command) if command.field == C_STORE_RQ else ReadOver()

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> Reply | None:
        """The response; None for what has none."""
        if command.field == C_STORE_RQ:
            return self._storage.answer(context, command, intake)
        if command.field == C_ECHO_RQ and context.abstract_syntax == VERIFICATION:
            return Reply(ServiceStatus.SUCCESS)
        if command.field == C_CANCEL_RQ:
            return None
        service = self._normalized.get(context.abstract_syntax)
        if service is None:
            return Reply(ServiceStatus.UNRECOGNIZED_OPERATION)
        return service.answer(context, command, intake)
