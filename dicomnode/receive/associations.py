"""The associations that are open, what came over each, and the events that tell of them."""

import itertools
import logging
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dicomnode.domain.storable import storable
from dicomnode.receive.admission import Applicant, Rejection
from dicomnode.receive.meter import Meter
from dicomnode.receive.request import AssociationRequest
from dicomnode.receive.service_statuses import ServiceStatus
from dicomnode.receive.statuses import Status
from dicomnode.receive.store_request import Answer, Sender, StoreRequest
from dicomnode.store.errors import StoreError
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

_MAX_UID_IN_EVENT = 64
_MAX_OFFERS_IN_EVENT = 32
_MAX_SYNTAXES_IN_EVENT = 8
_MAX_UNTOLD = 10_000
"""Events that wait in memory for a store that is full: about 5 MB."""
_DROPPED_SECONDS = 10.0
"""Connections that never became associations are told of once in this time for each address, with their number."""
_MAX_ADDRESSES = 1000


@dataclass(eq=False)
class OpenAssociation:
    """One accepted association: its sender and what it was answered so far. Written by its own thread alone."""

    sender: Sender
    answers: Counter[Status] = field(default_factory=Counter)
    received_bytes: int = 0


class Associations:
    """Keeps the book. Every association leads to two events, opened and closed, however it ends.

    An event that the full store cannot take waits in memory: it must not cost an instance.
    """

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal = journal
        self._meter = meter
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: set[OpenAssociation] = set()
        self._untold: deque[tuple[str, dict[str, Any]]] = deque()
        self._telling = threading.Lock()
        self._dropped: dict[str, tuple[float, int]] = {}

    def open(self, applicant: Applicant, may_store: bool) -> OpenAssociation:
        """An association was accepted."""
        association = f"{self._journal.boot}-{next(self._numbers)}"
        sender = Sender(applicant.calling_aet, applicant.called_aet, applicant.address, association, may_store)
        entry = OpenAssociation(sender)
        with self._lock:
            self._open.add(entry)
        self._meter.association("opened")
        self._note("association-opened", _who(sender) | {"tls": applicant.tls})
        return entry

    def close(self, entry: OpenAssociation, outcome: str, reason: str) -> None:
        """It ended: `released`, `aborted` or `lost`; with a reason where that was not the peer's own wish."""
        with self._lock:
            self._open.discard(entry)
        refused = {status.code: count for status, count in entry.answers.items() if status is not Status.SUCCESS}
        self._meter.association(outcome)
        counts = {
            "outcome": outcome,
            "reason": reason,
            "received": entry.answers[Status.SUCCESS],
            "received_bytes": entry.received_bytes,
            "refused": refused,
        }
        self._note("association-closed", _who(entry.sender) | counts)

    def reject(self, applicant: Applicant, rejection: Rejection, request: AssociationRequest) -> None:
        """An association was refused with A-ASSOCIATE-RJ (PS3.8 9.3.4); what was offered is told too."""
        self._meter.association("rejected")
        self._note(
            "association-rejected",
            {
                "calling_aet": applicant.calling_aet,
                "called_aet": applicant.called_aet,
                "peer": applicant.address,
                "tls": applicant.tls,
                "result": rejection.result,
                "source": rejection.source,
                "diagnostic": rejection.diagnostic,
                "reason": rejection.reason,
                "alert": rejection.alert,
                **_offered(request),
            },
        )

    def drop(self, address: str, reason: str) -> None:
        """A connection was closed that never became an association."""
        now = time.monotonic()
        with self._lock:
            if len(self._dropped) > _MAX_ADDRESSES:
                self._dropped.clear()
            told_at, count = self._dropped.get(address, (now - _DROPPED_SECONDS, 0))
            tell = now - told_at >= _DROPPED_SECONDS
            self._dropped[address] = (now, 0) if tell else (told_at, count + 1)
        if tell:
            self._note("connection-dropped", {"peer": address, "reason": reason, "more_before": count})

    def answered(self, entry: OpenAssociation, request: StoreRequest, answer: Answer, length: int) -> None:
        """An instance of `length` bytes was dealt with, and this is what its sender is told."""
        entry.answers[answer.status] += 1
        if answer.status is Status.SUCCESS:
            entry.received_bytes += length
        else:
            self._note("instance-refused", _who(entry.sender) | _what(request, answer, length))

    def declined(self, entry: OpenAssociation, service: str, status: ServiceStatus, reason: str) -> None:
        """A message of a normalized service was refused."""
        self._note(
            "service-refused", _who(entry.sender) | {"service": service, "status": status.code, "reason": reason}
        )

    def count(self, calling_aet: str | None = None) -> int:
        """How many are open, of all or of one calling AE title."""
        with self._lock:
            return sum(calling_aet is None or entry.sender.calling_aet == calling_aet for entry in self._open)

    def tell_again(self) -> None:
        """Write what the store could not take before; for whoever looks from time to time."""
        if self._untold:
            with self._telling:
                self._tell()

    def _note(self, event: str, details: dict[str, Any]) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._telling:
            self._untold.append((event, {"event": event, "at": at, **storable(details)}))
            if len(self._untold) > _MAX_UNTOLD:
                lost, _ = self._untold.popleft()
                LOGGER.error("event %s is lost: the store has taken none for too long", lost)
            self._tell()

    def _tell(self) -> None:
        """Write what is untold, the oldest first. A power cut may take the last of them: the node closes the book."""
        while self._untold:
            event, document = self._untold[0]
            try:
                self._journal.note(document)
            except StoreError as error:
                LOGGER.warning("event %s waits for the store: %s", event, error)
                return
            self._untold.popleft()


def _who(sender: Sender) -> dict[str, Any]:
    return {
        "association": sender.association,
        "calling_aet": sender.calling_aet,
        "called_aet": sender.called_aet,
        "peer": sender.peer,
    }


def _what(request: StoreRequest, answer: Answer, length: int) -> dict[str, Any]:
    return {
        "status": answer.status.code,
        "reason": answer.reason,
        "sop_class_uid": _short(request.sop_class_uid),
        "sop_instance_uid": _short(request.sop_instance_uid),
        "transfer_syntax_uid": _short(request.transfer_syntax_uid),
        "length": length,
    }


def _offered(request: AssociationRequest) -> dict[str, Any]:
    contexts = [
        {
            "sop_class_uid": _short(context.abstract_syntax),
            "transfer_syntax_uids": [_short(uid) for uid in context.transfer_syntaxes[:_MAX_SYNTAXES_IN_EVENT]],
        }
        for context in request.contexts[:_MAX_OFFERS_IN_EVENT]
    ]
    return {"implementation": request.implementation, "contexts": len(request.contexts), "offered": contexts}


def _short(uid: str) -> str:
    return uid[:_MAX_UID_IN_EVENT]
