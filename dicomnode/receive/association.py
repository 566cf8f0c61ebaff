"""One association from its request to our last word, in a thread of its own (PS3.8 7.1 to 7.4)."""

import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dicomnode.domain.availability import AVAILABILITY_NOTIFICATION
from dicomnode.domain.commitment import STORAGE_COMMITMENT
from dicomnode.receive import availability, commitment
from dicomnode.receive.admission import Admission, Applicant, Rejection
from dicomnode.receive.associations import Associations, OpenAssociation
from dicomnode.receive.connection import Connection
from dicomnode.receive.exchange import Exchange
from dicomnode.receive.keeper import Keeper
from dicomnode.receive.leash import Leash
from dicomnode.receive.limits import Limits
from dicomnode.receive.meter import Meter
from dicomnode.receive.negotiation import associate_ac, negotiate
from dicomnode.receive.noted import NotedService, Take
from dicomnode.receive.pdu import (
    ABORT_BY_USER,
    RELEASE_RP,
    AbortReason,
    MalformedPdu,
    abort_by_provider,
    associate_rj,
)
from dicomnode.receive.peer_rules import STORE
from dicomnode.receive.request import APPLICATION_CONTEXT, AssociationRequest
from dicomnode.receive.services import Services
from dicomnode.receive.slots import Slots
from dicomnode.receive.states import ARROWS, Action, Event, State, event_of
from dicomnode.receive.storage import Storage
from dicomnode.receive.tls import certificate_of
from dicomnode.receive.wire import Interrupted, Wire
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

# PS3.8 Table 9-21, and for the last one: rejected-transient, by the service provider (presentation related)
_PROTOCOL_VERSION = Rejection(1, 2, 2, "another protocol version than 1")
_APPLICATION_CONTEXT = Rejection(1, 1, 2, "another application context than DICOM's")
_LOCAL_LIMIT = Rejection(2, 3, 2, "too many associations are open")

_LAST_WORDS = {
    Action.CONFIRM_RELEASE: RELEASE_RP,
    Action.ABORT_ORDERED: ABORT_BY_USER,
    Action.ABORT_UNEXPECTED: abort_by_provider(AbortReason.UNEXPECTED_PDU),
    Action.ABORT_UNRECOGNIZED: abort_by_provider(AbortReason.UNRECOGNIZED_PDU),
    Action.ABORT_INVALID: abort_by_provider(AbortReason.INVALID_PARAMETER),
}


_NOTED: dict[str, tuple[str, Take]] = {
    STORAGE_COMMITMENT: ("storage commitment", commitment.take),
    AVAILABILITY_NOTIFICATION: ("instance availability", availability.take),
}


@dataclass(frozen=True)
class Acceptor:
    """What all associations of a receiver share."""

    limits: Limits
    admission: Admission
    slots: Slots
    journal: Journal
    keeper: Keeper
    book: Associations
    meter: Meter
    ended: Callable[["Association", bytes], None]
    """Takes the association and its last word, empty for none."""
    make_room: Callable[[], bool]
    """Asks an association that has stalled to give up its place; whether one did."""

    def services(self, entry: OpenAssociation) -> Services:
        """What answers the messages of one association."""
        storage = Storage(self.keeper, self.book, entry, self.meter)
        noted = {uid: NotedService(name, take, self.journal, self.book, entry) for uid, (name, take) in _NOTED.items()}
        return Services(storage, noted)


class Association(threading.Thread):
    """Serves one connection. `stop` makes it abort, whatever it waits for."""

    def __init__(self, connection: Connection, acceptor: Acceptor) -> None:
        super().__init__(name="association", daemon=True)
        self.connection = connection
        self._acceptor = acceptor
        self._leash = Leash()

    def stalled_seconds(self) -> float:
        """For how long its peer has left a PDU or a message half said."""
        return self._leash.stalled_seconds()

    def stop(self, why: str) -> None:
        """Abort, from any thread; `why` is for the book."""
        self._leash.ordered = why
        if not isinstance(self.connection.socket, ssl.SSLSocket):  # to TLS an end without close_notify is an attack
            with contextlib.suppress(OSError):
                self.connection.socket.shutdown(socket.SHUT_RD)  # whoever reads wakes up

    def run(self) -> None:
        last_word = abort_by_provider(AbortReason.NOT_SPECIFIED)
        try:
            last_word = self._serve()
        except Exception:
            LOGGER.exception("an association failed for a reason of our own")
        finally:
            self._acceptor.ended(self, last_word)

    def _serve(self) -> bytes:
        """Everything; returns the last word."""
        try:
            request = AssociationRequest.decode(self.connection.request)
        except MalformedPdu as error:
            self._acceptor.book.drop(self.connection.address, str(error))
            return _LAST_WORDS[ARROWS[State.AWAITING_REQUEST, Event.INVALID_PDU].action]
        applicant = self._applicant(request)
        rejection = _formal_fault(request) or self._acceptor.admission.judge(applicant)
        slot = self._slot() if rejection is None else None
        if slot is None:
            rejection = rejection or _LOCAL_LIMIT
            self._acceptor.book.reject(applicant, rejection, request)
            return associate_rj(rejection.result, rejection.source, rejection.diagnostic)
        try:
            return self._accept(request, applicant)
        finally:
            self._acceptor.slots.free(slot)

    def _slot(self) -> int | None:
        """A place; where all are taken, that of an association that has stalled, if there is one."""
        slots = self._acceptor.slots
        slot = slots.take()
        return slots.take() if slot is None and self._acceptor.make_room() else slot

    def _applicant(self, request: AssociationRequest) -> Applicant:
        connection = self.connection
        shown = certificate_of(connection.socket) if isinstance(connection.socket, ssl.SSLSocket) else (None, ())
        return Applicant(
            request.calling_aet, request.called_aet, connection.address, connection.port, connection.tls, *shown
        )

    def _accept(self, request: AssociationRequest, applicant: Applicant) -> bytes:
        acceptor = self._acceptor
        entry = acceptor.book.open(applicant, acceptor.admission.may(applicant.calling_aet, STORE))
        outcome, reason = "aborted", "an error of the node's own"
        try:
            end = self._exchange(request, entry)
            arrow = ARROWS[State.ESTABLISHED, end.event]
            outcome, reason = _outcome(end, arrow.action)
            return _LAST_WORDS.get(arrow.action, b"")
        finally:
            acceptor.book.close(entry, outcome, reason)

    def _exchange(self, request: AssociationRequest, entry: OpenAssociation) -> Interrupted:
        """Accept, take messages until something ends it, and say what."""
        acceptor, limits = self._acceptor, self._acceptor.limits
        accepted = negotiate(request, partial(acceptor.admission.may, request.calling_aet))
        wire = Wire(self.connection.socket, limits, self.connection.before, self._leash)
        exchange = Exchange(wire, accepted, request.max_length, limits, acceptor.services(entry))
        try:
            wire.write(associate_ac(request, accepted, limits.max_pdu))
            while True:
                pdu_type, length = wire.pdu_header(inside_message=exchange.under_way)
                event = event_of(pdu_type)
                if event is not Event.DATA:
                    return Interrupted(event, "")
                if length > limits.max_pdu + limits.forgiven:
                    return Interrupted(Event.INVALID_PDU, f"a P-DATA-TF of {length} bytes")
                exchange.take(length)
        except Interrupted as end:
            return end
        except MalformedPdu as error:
            return Interrupted(Event.INVALID_PDU, str(error))
        finally:
            exchange.discard()


def _formal_fault(request: AssociationRequest) -> Rejection | None:
    if not request.protocol_version & 1:
        return _PROTOCOL_VERSION
    if request.application_context != APPLICATION_CONTEXT:
        return _APPLICATION_CONTEXT
    return None


def _outcome(end: Interrupted, action: Action) -> tuple[str, str]:
    """How the association ended, for the book, and why where it was not the peer's own wish."""
    if action is Action.CONFIRM_RELEASE:
        return "released", ""
    if end.event is Event.ABORT:
        return "aborted", "by the peer"
    if action is Action.CLOSE:
        return "lost", end.reason
    return "aborted", end.reason or f"unexpected: {end.event.value}"
