"""An association as requestor, in the caller's own thread (PS3.8 7, 9.3).

pynetdicom's PDU classes say what goes over the wire; its `Association` is not used, and that is the point. There, three
threads share one queue of received messages: the caller of `send_c_store`, the upper layer's reactor, and the
association's reactor, which polls the queue for requests of the peer. `send_c_store` pauses that reactor by clearing
an event and waiting for `_is_paused`; but the reactor announces `_is_paused` *before* it waits on the event, so it may
already be past it and take the response meant for the caller (3.0.4, association.py 714-729; 2 of 11,329 sends).
The caller then waits for the time-out and sends an instance again that the peer has stored. Here nobody else reads
the socket, so no response can be lost on our side of it.
"""

import math
import struct
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, A_RELEASE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)

from dicomnode.deliver.content import DataSet
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.message import Assembly, Message
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, rejected
from dicomnode.deliver.wire import MAX_PDU_LENGTH, Wire
from dicomnode.domain import command_set as dimse
from dicomnode.domain.uid import IMPLEMENTATION_CLASS_UID

Syntax = tuple[str, str]
"""What a presentation context is proposed for: (SOP class UID, transfer syntax UID)."""

MAX_CONTEXTS = 128
"""Context IDs are the odd numbers from 1 to 255 (PS3.8 9.3.2.2)."""

MESSAGE_SECONDS = 600.0
"""For one message of the peer, in however many PDUs: at 110 KB/s that is the longest report, 64 MiB."""

_ASSOCIATE_AC, _ASSOCIATE_RJ, _P_DATA_TF, _RELEASE_RQ, _RELEASE_RP, _ABORT = 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
_ABORT_BY_USER = bytes((_ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


@dataclass(frozen=True)
class Answered:
    """What a peer said of itself in its A-ASSOCIATE-AC (PS3.7 D.3.3.2, PS3.8 D.1); empty where it said nothing.

    `max_pdu` is in bytes, 0: it sets no limit.
    """

    max_pdu: int = 0
    implementation_class_uid: str = ""
    implementation_version: str = ""


class Association:
    """An established association. Every method raises AssociationFailed; after that the association is over.

    `contexts` maps what the peer accepted to its context ID, `refused` what it refused to its result
    (PS3.8 Table 9-18). Not for two threads at a time.
    """

    def __init__(self, wire: Wire, destination: Destination, timeouts: Timeouts) -> None:
        self._wire, self._destination, self._timeouts = wire, destination, timeouts
        self.answered = Answered()
        self._assembly = Assembly()
        self.contexts: dict[Syntax, int] = {}
        self.refused: dict[Syntax, int] = {}
        self.is_open = False

    @classmethod
    def request(
        cls,
        destination: Destination,
        calling_aet: str,
        syntaxes: Iterable[Syntax],
        timeouts: Timeouts,
        stop: threading.Event,
        *,
        provided: Collection[str] = (),
    ) -> "Association":
        """Connect and negotiate one presentation context per syntax, at most MAX_CONTEXTS of them.

        `provided`: SOP classes for which this node proposes to be the SCP, and not the SCU (PS3.7 D.3.3.4).
        """
        proposed = {2 * number + 1: syntax for number, syntax in enumerate(dict.fromkeys(syntaxes))}
        if not 1 <= len(proposed) <= MAX_CONTEXTS:
            raise ValueError(f"an association takes 1 to {MAX_CONTEXTS} presentation contexts, not {len(proposed)}")
        pdu = _associate_rq(destination, calling_aet, proposed, provided)
        association = cls(Wire.connect(destination, timeouts.connect, stop), destination, timeouts)
        try:
            association._negotiate(pdu, proposed)
        except BaseException:
            association._wire.close()
            raise
        return association

    def exchange(self, syntax: Syntax, message_id: int, command_set: bytes, data_set: DataSet | None) -> int:
        """Send one DIMSE request and wait for its response; returns the response's Status (0000,0900).

        Raises also OSError and EOFError where the data set cannot be read to its end; the association is over then too.
        """
        try:
            self.write(self.contexts[syntax], command_set, data_set)
            answered, status = _answer(self.receive(self._timeouts.dimse))
            if answered != message_id:
                raise _broken(f"a response to message {answered} came, not to {message_id}")
            return status
        except BaseException:
            self.abort()
            raise

    def write(self, context_id: int, command_set: bytes, data_set: DataSet | None) -> None:
        """Send one DIMSE message, a request or a response."""
        self._wire.write_message(context_id, command_set, data_set, self.answered.max_pdu, self._timeouts.dimse)

    def receive(self, timeout: float) -> Message:
        """The next DIMSE message of the peer; no wait for one of its PDUs is longer than `timeout` seconds."""
        whole_by = math.inf
        while (message := self._assembly.next()) is None:
            pdu_type, content = self._wire.read(timeout, self._timeouts.dimse)
            whole_by = min(whole_by, time.monotonic() + MESSAGE_SECONDS)
            if time.monotonic() >= whole_by:
                raise _broken(f"a message was not whole after {MESSAGE_SECONDS:g} s")
            if pdu_type == _RELEASE_RQ:
                self._wire.write(A_RELEASE_RP().encode(), self._timeouts.acse)
                self.is_open = False
            if pdu_type != _P_DATA_TF:
                raise _ended(pdu_type, content)
            try:
                self._assembly.take(content)
            except ValueError as error:
                raise _broken(str(error)) from error
        return message

    def release(self) -> None:
        """End the association in order (PS3.8 7.2); a peer that says anything else instead is not heard out."""
        if not self.is_open:
            return
        self.is_open = False
        try:
            self._wire.write(A_RELEASE_RQ().encode(), self._timeouts.acse)
            if self._wire.read(self._timeouts.acse)[0] == _RELEASE_RQ:  # collision: PS3.8 7.2.2.7
                self._wire.write(A_RELEASE_RP().encode(), self._timeouts.acse)
                self._wire.read(self._timeouts.acse)
        except AssociationFailed:
            # Every response is in: nothing that goes wrong here concerns an instance any more.
            self._wire.write_last(_ABORT_BY_USER)
        finally:
            self._wire.close()

    def abort(self) -> None:
        """Send A-ABORT if the association is open, and close the connection. Never raises."""
        if self.is_open:
            self.is_open = False
            self._wire.write_last(_ABORT_BY_USER)
        self._wire.close()

    def _negotiate(self, request: bytes, proposed: Mapping[int, Syntax]) -> None:
        self._wire.write(request, self._timeouts.acse)
        pdu_type, content = self._wire.read(self._timeouts.acse)
        if pdu_type == _ASSOCIATE_RJ and len(content) >= 4:
            rejection = A_ASSOCIATE_RJ()
            rejection.decode(_whole(pdu_type, content))
            raise rejected(str(self._destination), rejection.result, rejection.source, rejection.reason_diagnostic)
        if pdu_type != _ASSOCIATE_AC:
            raise _ended(pdu_type, content)
        try:
            acceptance = A_ASSOCIATE_AC()
            acceptance.decode(_whole(pdu_type, content))
            answer = acceptance.to_primitive()
            results = {context.context_id: context for context in answer.presentation_context_definition_results_list}
            self.answered = _answered(answer)
        except Exception as error:  # pynetdicom raises whatever the malformed bytes make it raise
            raise _broken("the answer to the association request is malformed") from error
        if not results:
            raise _broken("it answers none of the presentation contexts")
        for context_id, syntax in proposed.items():
            context = results.get(context_id)
            accepted = context is not None and context.result == 0 and syntax[1] in context.transfer_syntax
            if accepted:
                self.contexts[syntax] = context_id
            else:
                self.refused[syntax] = context.result if context is not None else 2
        self.is_open = True


def _associate_rq(
    destination: Destination, calling_aet: str, proposed: Mapping[int, Syntax], provided: Collection[str]
) -> bytes:
    """The encoded A-ASSOCIATE-RQ (PS3.8 9.3.2), or a permanent AssociationFailed where the AE titles are none."""
    limit, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    limit.maximum_length_received = MAX_PDU_LENGTH
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = "DICOMNODE"
    request = A_ASSOCIATE()
    try:
        request.application_context_name = "1.2.840.10008.3.1.1.1"
        request.calling_ae_title = calling_aet
        request.called_ae_title = destination.ae_title
        for context_id, (sop_class_uid, transfer_syntax_uid) in proposed.items():
            context = build_context(sop_class_uid, transfer_syntax_uid)
            context.context_id = context_id
            request.presentation_context_definition_list.append(context)
        request.user_information = [limit, implementation, version, *map(_as_provider, provided)]
        return bytes(A_ASSOCIATE_RQ(request).encode())
    except (TypeError, ValueError) as error:
        reason = f"configuration error: {destination} cannot be asked for an association: {error}"
        raise AssociationFailed(FailureKind.CONFIGURATION, reason, transient=False) from error


def _answered(answer: A_ASSOCIATE) -> Answered:
    """By item: the properties of these names raise where a peer sends an item that is empty."""
    implementation_class_uid = implementation_version = ""
    for item in answer.user_information:
        if isinstance(item, ImplementationClassUIDNotification):
            implementation_class_uid = str(item.implementation_class_uid or "")
        elif isinstance(item, ImplementationVersionNameNotification):
            implementation_version = str(item.implementation_version_name or "")
    return Answered(answer.maximum_length_received or 0, implementation_class_uid, implementation_version)


def _whole(pdu_type: int, content: bytes) -> bytes:
    return struct.pack(">BxI", pdu_type, len(content)) + content


def _as_provider(sop_class_uid: str) -> SCP_SCU_RoleSelectionNegotiation:
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid, role.scu_role, role.scp_role = sop_class_uid, False, True
    return role


def _answer(response: Message) -> tuple[int, int]:
    """Which message of ours it answers, and its status."""
    try:
        return response.number(dimse.MESSAGE_ID_BEING_RESPONDED_TO), response.number(dimse.STATUS)
    except ValueError as error:
        raise _broken(str(error)) from error


def _broken(reason: str) -> AssociationFailed:
    return AssociationFailed(FailureKind.PROTOCOL, f"the peer broke the protocol: {reason}", transient=True)


def _ended(pdu_type: int, content: bytes) -> AssociationFailed:
    if pdu_type == _ABORT:
        source = "its user" if content[2:3] == b"\0" else "its service provider"
        return AssociationFailed(FailureKind.ABORTED, f"the peer aborted the association ({source})", transient=True)
    if pdu_type == _RELEASE_RQ:
        return AssociationFailed(FailureKind.ABORTED, "the peer released the association", transient=True)
    return _broken(f"a PDU of type {pdu_type:02X}H came")
