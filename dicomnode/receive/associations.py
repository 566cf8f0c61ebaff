"""The associations that are open, what came over each, and the events that tell of them."""

import itertools
import logging
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dicomnode.receive.keeper import Answer, Sender, StoreRequest
from dicomnode.receive.meter import Meter
from dicomnode.receive.statuses import Status
from dicomnode.store.errors import StoreError
from dicomnode.store.journal import Journal

LOGGER = logging.getLogger(__name__)

_MAX_UID_IN_EVENT = 64
_MAX_UNTOLD = 10_000
"""Events that wait in memory for a store that is full: about 5 MB."""


@dataclass
class OpenAssociation:
    """One accepted association: its sender and what it was answered so far."""

    sender: Sender
    answers: Counter[Status] = field(default_factory=Counter)
    received_bytes: int = 0
    storing: bool = False
    outcome: str | None = None


class Associations:
    """Keeps the book. Every entry leads to two events, opened and closed, however the association ends.

    An event that the full store cannot take waits in memory for the next one: it must not cost an instance.
    """

    def __init__(self, journal: Journal, meter: Meter) -> None:
        self._journal = journal
        self._meter = meter
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, OpenAssociation] = {}
        self._untold: deque[tuple[dict[str, Any], bool]] = deque()
        self._telling = threading.Lock()

    def open(self, key: threading.Thread, calling_aet: str, called_aet: str, peer: str) -> None:
        """An association was accepted; `key` is the thread that serves it."""
        association = f"{self._journal.boot}-{next(self._numbers)}"
        sender = Sender(calling_aet, called_aet, peer, association)
        with self._lock:
            self._open[key] = OpenAssociation(sender)
        self._meter.association("opened")
        self._note("association-opened", _who(sender))

    def close(self, key: threading.Thread, outcome: str) -> None:
        """It ended: `released`, `aborted` or `lost`. Only the first outcome counts.

        While an instance of it is being stored the entry stays, and `stored` completes what was begun here.
        """
        with self._lock:
            entry = self._open.get(key)
            if entry is None:
                return
            entry.outcome = entry.outcome or outcome
            if entry.storing:
                return
            del self._open[key]
        self._tell_closed(entry)

    def reject(self, calling_aet: str, called_aet: str, peer: str, code: tuple[int, int, int], reason: str) -> None:
        """An association was refused with A-ASSOCIATE-RJ `code`: result, source, reason (PS3.8 9.3.4)."""
        self._meter.association("rejected")
        result, source, diagnostic = code
        who = {"calling_aet": calling_aet, "called_aet": called_aet, "peer": peer}
        why = {"result": result, "source": source, "diagnostic": diagnostic, "reason": reason}
        self._note("association-rejected", who | why)

    def storing(self, key: threading.Thread) -> Sender | None:
        """An instance came in; who sends it. None if the association is not, or no longer, open."""
        with self._lock:
            entry = self._open.get(key)
            if entry is None or entry.outcome is not None:
                return None
            entry.storing = True
            return entry.sender

    def stored(self, key: threading.Thread, request: StoreRequest, answer: Answer) -> None:
        """The instance was dealt with, and this is what its sender will be told."""
        with self._lock:
            entry = self._open[key]
            entry.storing = False
            entry.answers[answer.status] += 1
            if answer.status is Status.SUCCESS:
                entry.received_bytes += request.data_set.getbuffer().nbytes
            ended = entry.outcome is not None
        if answer.status is not Status.SUCCESS:
            self._note("instance-refused", _who(entry.sender) | _what(request, answer))
        if ended:
            self.close(key, "lost")

    def count(self, calling_aet: str | None = None) -> int:
        """How many are open, of all or of one calling AE title."""
        self._close_dead()
        with self._lock:
            entries = list(self._open.values())
        return sum(calling_aet is None or entry.sender.calling_aet == calling_aet for entry in entries)

    def _close_dead(self) -> None:
        """End what ended without an event: no count may stay up for ever because a thread died."""
        with self._lock:
            dead = [key for key in self._open if not key.is_alive()]
        for key in dead:
            self.close(key, "lost")

    def _tell_closed(self, entry: OpenAssociation) -> None:
        outcome = entry.outcome or "lost"
        refused = {status.code: count for status, count in entry.answers.items() if status is not Status.SUCCESS}
        self._meter.association(outcome)
        counts = {
            "outcome": outcome,
            "received": entry.answers[Status.SUCCESS],
            "received_bytes": entry.received_bytes,
            "refused": refused,
        }
        self._note("association-closed", _who(entry.sender) | counts, sync=True)

    def _note(self, event: str, details: dict[str, Any], *, sync: bool = False) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._telling:
            self._untold.append(({"event": event, "at": at, **details}, sync))
            if len(self._untold) > _MAX_UNTOLD:
                lost, _ = self._untold.popleft()
                LOGGER.error("event %s is lost: the store has taken none for too long", lost["event"])
            self._tell()

    def _tell(self) -> None:
        """Write what is untold, the oldest first."""
        while self._untold:
            document, sync = self._untold[0]
            try:
                self._journal.note(document, sync=sync)
            except StoreError as error:
                LOGGER.warning("event %s waits for the store: %s", document["event"], error)
                return
            self._untold.popleft()


def _who(sender: Sender) -> dict[str, Any]:
    return {
        "association": sender.association,
        "calling_aet": sender.calling_aet,
        "called_aet": sender.called_aet,
        "peer": sender.peer,
    }


def _what(request: StoreRequest, answer: Answer) -> dict[str, Any]:
    return {
        "status": answer.status.code,
        "reason": answer.reason,
        "sop_class_uid": request.sop_class_uid[:_MAX_UID_IN_EVENT],
        "sop_instance_uid": request.sop_instance_uid[:_MAX_UID_IN_EVENT],
        "transfer_syntax_uid": request.transfer_syntax_uid,
        "length": request.data_set.getbuffer().nbytes,
    }
