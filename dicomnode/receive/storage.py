"""The Storage service over one association (PS3.4 Annex B)."""

import time

from dicomnode.receive.associations import Associations, OpenAssociation
from dicomnode.receive.command import Command, Reply
from dicomnode.receive.intake import Intake
from dicomnode.receive.keeper import Keeper
from dicomnode.receive.large import LargeInstance
from dicomnode.receive.meter import Meter
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.statuses import Status
from dicomnode.receive.store_request import StoreRequest

_MAY_CARRY_COMMENT = {Status.OUT_OF_RESOURCES, Status.DOES_NOT_MATCH_SOP_CLASS, Status.CANNOT_UNDERSTAND}
"""PS3.4 table B.2-1: Error Comment goes with A7xx, A9xx and Cxxx."""


class Storage:
    """Answers one association's C-STORE requests. Never raises."""

    def __init__(self, keeper: Keeper, book: Associations, entry: OpenAssociation, meter: Meter) -> None:
        self._keeper, self._book, self._entry, self._meter = keeper, book, entry, meter

    def open_large(self, context: AcceptedContext, command: Command) -> LargeInstance:
        """Where a data set goes that is too large for memory."""
        return self._keeper.large(_request(context, command), self._entry.sender)

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> Reply:
        """The response."""
        began = time.monotonic()
        request = _request(context, command)
        if isinstance(intake.large, LargeInstance):
            answer = intake.large.finish()
        else:
            answer = self._keeper.keep(request, self._entry.sender, intake.data_set)
        self._book.answered(self._entry, request, answer, intake.length)
        self._meter.answered(answer.status, intake.length, time.monotonic() - began)
        return Reply(answer.status, answer.reason if answer.status in _MAY_CARRY_COMMENT else "")


def _request(context: AcceptedContext, command: Command) -> StoreRequest:
    return StoreRequest(
        sop_class_uid=command.sop_class,
        sop_instance_uid=command.sop_instance,
        context_sop_class_uid=context.abstract_syntax,
        transfer_syntax_uid=context.transfer_syntax,
    )
