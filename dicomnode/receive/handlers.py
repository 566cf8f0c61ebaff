"""What happens at each of pynetdicom's events: nothing but translation between its words and ours."""

import socket
import time
from collections.abc import Callable
from typing import Any

from pydicom import config as pydicom_config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.pdu_primitives import A_P_ABORT

from dicomnode.receive.associations import Associations
from dicomnode.receive.keeper import Answer, Keeper, StoreRequest
from dicomnode.receive.meter import Meter
from dicomnode.receive.negotiation import prefer_transfer_syntaxes, supported_contexts
from dicomnode.receive.statuses import Status

_ERROR_COMMENT_LENGTH = 64
_MAY_CARRY_COMMENT = {Status.OUT_OF_RESOURCES, Status.DOES_NOT_MATCH_SOP_CLASS, Status.CANNOT_UNDERSTAND}
"""PS3.4 table B.2-1: Error Comment goes with A7xx, A9xx and Cxxx."""

_MANDATORY_UIDS = (0x00000002, 0x00001000)
"""Affected SOP Class UID and Affected SOP Instance UID of a C-STORE-RQ (PS3.7 9.3.1.1)."""

_NO_UID = "-"
"""Stands for an empty UID: no UID, and not empty."""


class Handlers:
    """The functions to bind to a server's events. They run in the association's own thread."""

    def __init__(self, keeper: Keeper, associations: Associations, meter: Meter) -> None:
        self._keeper = keeper
        self._associations = associations
        self._meter = meter

    def bound(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """Pairs of event and handler, as pynetdicom's `evt_handlers` takes them."""
        return [
            (evt.EVT_CONN_OPEN, self._connected),
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_ESTABLISHED, self._established),
            (evt.EVT_DIMSE_RECV, self._received),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_ACSE_RECV, self._told_of_the_end),
            (evt.EVT_RELEASED, lambda event: self._associations.close(event.assoc, "released")),
            (evt.EVT_ABORTED, lambda event: self._associations.close(event.assoc, "aborted")),
        ]

    def _connected(self, event: Any) -> None:
        # A response is one small segment: with Nagle's algorithm it waits for the peer's delayed acknowledgement.
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _requested(self, event: Any) -> None:
        proposed = event.assoc.requestor.primitive.presentation_context_definition_list
        if any(not context.transfer_syntax for context in proposed):
            event.assoc.abort()  # mandatory in every proposal (PS3.8 9.3.2.2); pynetdicom fails on it
            return
        prefer_transfer_syntaxes(proposed)
        event.assoc.acceptor.supported_contexts = supported_contexts(proposed)

    def _rejected(self, event: Any) -> None:
        calling_aet, called_aet, peer = _parties(event.assoc)
        answer = event.assoc.acceptor.primitive
        code = (answer.result, answer.result_source, answer.diagnostic)
        self._associations.reject(calling_aet, called_aet, peer, code, answer.reason_str)

    def _established(self, event: Any) -> None:
        self._associations.open(event.assoc, *_parties(event.assoc))

    def _received(self, event: Any) -> None:
        """Keep a request with an empty UID alive: pynetdicom drops it, and its sender would wait for ever."""
        if not isinstance(event.message, C_STORE_RQ):
            return
        command = event.message.command_set
        for tag in _MANDATORY_UIDS:
            if tag not in command or not command[tag].value:
                command[tag] = DataElement(tag, "UI", _NO_UID, validation_mode=pydicom_config.IGNORE)

    def _store(self, event: Any) -> int | Dataset:
        began = time.monotonic()
        request = _store_request(event)
        sender = self._associations.storing(event.assoc)
        if sender is None:
            answer = Answer(Status.OUT_OF_RESOURCES, "the association is being closed")
        else:
            answer = self._keeper.keep(request, sender)
            self._associations.stored(event.assoc, request, answer)
        self._meter.answered(answer.status, request.data_set.getbuffer().nbytes, time.monotonic() - began)
        return _response(answer)

    def _told_of_the_end(self, event: Any) -> None:
        if isinstance(event.primitive, A_P_ABORT):
            self._associations.close(event.assoc, "lost")


def _parties(association: Any) -> tuple[str, str, str]:
    request = association.requestor.primitive
    return request.calling_ae_title.strip(), request.called_ae_title.strip(), str(association.requestor.address)


def _store_request(event: Any) -> StoreRequest:
    return StoreRequest(
        sop_class_uid=_plain(event.request.AffectedSOPClassUID),
        sop_instance_uid=_plain(event.request.AffectedSOPInstanceUID),
        context_sop_class_uid=_plain(event.context.abstract_syntax),
        transfer_syntax_uid=str(event.context.transfer_syntax),
        data_set=event.request.DataSet,
    )


def _plain(uid: Any) -> str:
    return str(uid).rstrip("\0 ")


def _response(answer: Answer) -> int | Dataset:
    if answer.status not in _MAY_CARRY_COMMENT:
        return int(answer.status)
    response = Dataset()
    response.Status = int(answer.status)
    response.ErrorComment = answer.reason[:_ERROR_COMMENT_LENGTH]
    return response
