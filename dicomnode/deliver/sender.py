"""One destination's sender: takes what is due, sends it instance by instance, and writes down every answer.

The ledger knows each instance's status before the next one goes out, so whatever interrupts a delivery, only what has
no answer is sent again.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, DeliveryItem
from dicomnode.db.repositories import deliveries
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome, Response
from dicomnode.deliver.part10 import NotPart10
from dicomnode.deliver.scu import Outgoing, StoreSession, batches, open_association
from dicomnode.domain.instance import Location
from dicomnode.observe import SENT, checkpoint, log
from dicomnode.store.reading import read_bytes

POLL_SECONDS = 0.25
NOTE_SECONDS = 0.5


class Sender(threading.Thread):
    """Sends to one destination until stopped. Other destinations have their own: a slow one holds nobody up."""

    def __init__(
        self,
        destination: Destination,
        database: Database,
        root: Path,
        *,
        calling_aet: str,
        node: str,
        backoff: Backoff,
        timeouts: Timeouts,
    ) -> None:
        super().__init__(name=f"send-{destination.name}", daemon=True)
        self.destination = destination
        self._database, self._root = database, root
        self._calling_aet, self._node = calling_aet, node
        self._backoff, self._timeouts = backoff, timeouts
        self._stop_event = threading.Event()
        self._abort = threading.Event()
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._unreachable = 0
        self._resume_at = 0.0

    def stop(self) -> None:
        """Finish the instance on the wire and release the association."""
        self._stop_event.set()

    def abort(self) -> None:
        """Stop at once, mid-instance; what has no answer yet is sent again after the next start."""
        self._stop_event.set()
        self._abort.set()

    def run(self) -> None:
        while not self._stop_event.wait(POLL_SECONDS):
            try:
                while not self._stop_event.is_set() and time.monotonic() >= self._resume_at and self.send_next():
                    pass
            except Exception as error:
                log.warning("sender waits", destination=self.destination.name, error=f"{type(error).__name__}: {error}")
                self._stop_event.wait(1.0)

    def send_next(self) -> bool:
        """Send the delivery that is due, if there is one. Returns whether there was."""
        with self._database.read() as session:
            if deliveries.due(session, self.destination.name, database_now(session)) is None:
                return False
        with self._database.write() as session:
            row = deliveries.due(session, self.destination.name, database_now(session))
            if row is None:
                return False
            row.state = "sending"
            items = deliveries.open_items(session, row.id)
        self._send(row.id, items)
        return True

    def _send(self, delivery_id: int, items: Sequence[DeliveryItem]) -> None:
        by_uid = {item.sop_uid: item for item in items}
        answered, reason = 0, ""
        try:
            for batch in batches([self._outgoing(item) for item in items]):
                count, reason = self._send_batch(batch, by_uid)
                answered += count
                if reason:
                    break
            self._unreachable = 0
        except AssociationFailed as failure:
            reason = failure.reason
            if failure.kind is not FailureKind.STOPPED:
                self._unreachable = 0 if answered else self._unreachable + 1
        self._patiently(lambda session: self._conclude(session, delivery_id, answered, reason))

    def _send_batch(self, batch: Sequence[Outgoing], by_uid: dict[str, DeliveryItem]) -> tuple[int, str]:
        """Send one association's worth. Returns how many got a final answer, and why it ended early if it did.

        Raises AssociationFailed when no association came about.
        """
        answered = 0
        timeouts, stop = self._timeouts, self._abort
        with open_association(self.destination, self._calling_aet, batch, timeouts=timeouts, stop=stop) as session:
            for outgoing in batch:
                checkpoint("sending")
                response = _sent_or_unreadable(session, outgoing)
                self._note(by_uid[outgoing.sop_instance_uid], response)
                if response.outcome is Outcome.TRANSIENT:
                    return answered, response.detail
                answered += 1
                if self._stop_event.is_set():
                    return answered, "the node was stopped"
        return answered, ""

    def _note(self, item: DeliveryItem, response: Response) -> None:
        SENT.labels(self.destination.name, response.outcome.value).inc()
        self._patiently(lambda session: self._write_down(session, item, response))

    def _patiently(self, change: Callable[[Session], None]) -> None:
        """One transaction. A database that is away is waited for: to forget an answer would be to send twice."""
        while True:
            try:
                with self._database.write() as session:
                    change(session)
                return
            except DBAPIError as error:
                waits = {"destination": self.destination.name, "error": str(error.orig)}
                log.warning("an answer waits for the database", **waits)
                if self._abort.wait(NOTE_SECONDS):
                    raise

    def _write_down(self, session: Session, item: DeliveryItem, response: Response) -> None:
        row = session.get_one(DeliveryItem, item.id)
        row.attempts += 1
        row.status, row.detail = response.status, response.detail
        if response.stored:
            row.state, row.sent_at = "sent", database_now(session)
        elif response.outcome is Outcome.PERMANENT:
            row.state = "failed"

    def _conclude(self, session: Session, delivery_id: int, answered: int, reason: str) -> None:
        """Move the delivery on: sent, a dead letter, or pending until its time comes again."""
        row = session.get_one(Delivery, delivery_id)
        counts = deliveries.counts(session, delivery_id)
        if counts.get("pending") and not reason:
            row.state, row.reason, row.attempts = "pending", "", 0  # they joined while the others were sent
        elif counts.get("pending"):
            self._postpone(session, row, answered, reason)
        elif counts.get("failed"):
            self._finish(session, row, "failed", _dead_letter(session, row, counts), counts)
        else:
            self._finish(session, row, "sent", "", counts)

    def _postpone(self, session: Session, row: Delivery, answered: int, reason: str) -> None:
        if self._stop_event.is_set():
            row.state, row.reason = "pending", reason
            return
        row.attempts = 1 if answered else row.attempts + 1
        delay = self._backoff.delay(max(row.attempts, self._unreachable), self._random)
        until = database_now(session) + timedelta(seconds=delay)
        row.state, row.not_before, row.reason = "pending", until, reason
        if self._unreachable:
            deliveries.postpone_all(session, self.destination.name, until, reason)
            self._resume_at = time.monotonic() + delay
        record(
            session,
            "delivery.retry",
            f"{self.destination.name}: {reason}; next attempt in {delay:.0f} s",
            node=self._node,
            outcome="failure",
            series_uid=row.series_uid,
            subject=f"delivery:{row.id}",
            detail={"destination": self.destination.name, "attempts": row.attempts, "seconds": round(delay, 1)},
        )

    def _finish(self, session: Session, row: Delivery, state: str, reason: str, counts: dict[str, int]) -> None:
        row.state, row.reason, row.attempts = state, reason, 0
        row.finished_at = database_now(session)
        total = sum(counts.values())
        record(
            session,
            f"delivery.{state}",
            reason or f"{self.destination.name} took {total} of {total} instances",
            node=self._node,
            outcome="success" if state == "sent" else "failure",
            series_uid=row.series_uid,
            subject=f"delivery:{row.id}",
            detail={"destination": self.destination.name, "counts": counts, "subject": row.subject},
        )

    def _outgoing(self, item: DeliveryItem) -> Outgoing:
        location = Location(item.container, item.offset, item.length)
        return Outgoing(
            item.sop_class_uid, item.sop_uid, item.transfer_syntax_uid, lambda: read_bytes(self._root, location)
        )


def _sent_or_unreadable(session: StoreSession, outgoing: Outgoing) -> Response:
    try:
        return session.send(outgoing)
    except (OSError, EOFError, NotPart10) as error:
        return Response(Outcome.PERMANENT, None, f"the stored bytes cannot be read: {error}")


def _dead_letter(session: Session, row: Delivery, counts: dict[str, int]) -> str:
    first = next(item for item in deliveries.items(session, row.id) if item.state == "failed")
    return f"{counts['failed']} of {sum(counts.values())} instances were refused for good: {first.detail}"
