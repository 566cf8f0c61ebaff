"""One destination's sender: takes what is due, sends it instance by instance, and writes down every answer.

It has as many lanes as the destination takes associations. A lane is a thread with at most one association: it joins a
delivery that another lane is sending, or claims the next one that is due, so that a long series and many short ones
both use all lanes. Each answer is noted (`answers`) before its lane sends the next instance, so whatever interrupts a
delivery, only what has no answer is sent again. An association that fails costs its lane a rest; the others go on, and
what it left is sent when the back-off of its delivery ends. While a destination cannot be reached, all lanes rest.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from random import Random

from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import deliveries
from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.answers import Answers
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.claim import Claim
from dicomnode.deliver.conclusion import Attempt, conclude
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.parallel import Share, send_one
from dicomnode.deliver.scu import StoreSession, open_association
from dicomnode.deliver.transcode import Transcode
from dicomnode.domain.instance import Location
from dicomnode.observe import SENT, checkpoint, log

POLL_SECONDS = 0.25
JOIN_SECONDS = 5.0


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
        transcode: Transcode | None = None,
    ) -> None:
        super().__init__(name=f"send-{destination.name}", daemon=True)
        self.destination = destination
        self._database, self._root = database, root
        self._calling_aet, self._node = calling_aet, node
        self._backoff, self._timeouts, self._transcode = backoff, timeouts, transcode
        self._stop_event = threading.Event()
        self._abort = threading.Event()
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._answers = Answers(database, root, destination.name, self._abort)
        self._lanes = [_Lane() for _ in range(destination.associations)]
        self._lock = threading.Lock()
        self._something_to_join = threading.Condition()
        self._claims: list[Claim] = []
        self._open = 0
        self._unreachable = 0
        self._resume_at = 0.0

    def stop(self) -> None:
        """Finish the instances on the wire and release the associations."""
        self._stop_event.set()
        self._invite()

    def abort(self) -> None:
        """Stop at once, mid-instance; what has no answer yet is sent again after the next start."""
        self._abort.set()
        self.stop()

    def run(self) -> None:
        others = [
            threading.Thread(
                target=self._serve, args=(lane, partial(self._wait_for_invitation, lane)), name=f"{self.name}-{number}"
            )
            for number, lane in enumerate(self._lanes[1:], start=2)
        ]
        for thread in others:
            thread.daemon = True
            thread.start()
        self._serve(self._lanes[0], partial(self._stop_event.wait, POLL_SECONDS))
        for thread in others:
            thread.join()
        self._answers.close()

    def send_next(self) -> bool:
        """Send the delivery that is due, if there is one, over one association. Returns whether there was."""
        return self._send_next(self._lanes[0])

    def _serve(self, lane: "_Lane", wait: Callable[[], object]) -> None:
        while not self._stop_event.is_set():
            wait()
            try:
                while not self._stop_event.is_set() and self._is_rested(lane) and self._send_next(lane):
                    pass
            except Exception as error:
                log.warning("sender waits", destination=self.destination.name, error=f"{type(error).__name__}: {error}")
                self._stop_event.wait(1.0)

    def _send_next(self, lane: "_Lane") -> bool:
        with self._lock:
            claim = self._joinable() or self._claim()
            if claim is None:
                return False
            claim.lanes += 1
        try:
            self._work(claim, lane)
        except Exception as error:
            claim.close(f"sending failed: {type(error).__name__}")
            raise
        finally:
            if self._leave(claim):
                self._conclude(claim)
        return True

    def _joinable(self) -> Claim | None:
        return next((claim for claim in tuple(self._claims) if claim.has_room), None)

    def _claim(self) -> Claim | None:
        """The next delivery that is due, now of this sender. Under the lock: two lanes must not see the same one."""
        self._answers.recover()
        with self._database.read() as session:
            if deliveries.due(session, self.destination.name, database_now(session)) is None:
                return None
        with self._database.write() as session:
            row = deliveries.due(session, self.destination.name, database_now(session))
            if row is None:
                return None
            row.state = "sending"
            items = deliveries.open_items(session, row.id)
        claim = Claim(row.id, items, self._outgoing, transcoding=self._transcode is not None)
        self._claims.append(claim)
        return claim

    def _work(self, claim: Claim, lane: "_Lane") -> None:
        """Send what this lane can get of the delivery, over one association after the other."""
        try:
            for share in claim.shares:
                while share.left and not claim.is_closed:
                    if not self._send_share(claim, share, lane):
                        return
        except AssociationFailed as failure:
            self._rest(claim, lane, failure)

    def _send_share(self, claim: Claim, share: Share, lane: "_Lane") -> bool:
        """Over one association. Returns whether this lane may go on with the delivery."""
        with self._association(share) as session:
            with self._lock:
                self._open, self._unreachable, claim.is_established = self._open + 1, 0, True
            self._invite()
            try:
                return self._send_while_open(claim, share, lane, session)
            finally:
                with self._lock:
                    self._open -= 1

    def _send_while_open(self, claim: Claim, share: Share, lane: "_Lane", session: StoreSession) -> bool:
        while session.is_open and not claim.is_closed and (outgoing := share.take()) is not None:
            checkpoint("sending")
            response = send_one(session, outgoing)
            SENT.labels(self.destination.name, response.outcome.value).inc()
            self._answers.note(claim.items[outgoing.sop_instance_uid], response)
            with self._lock:
                claim.note(response)
            if response.outcome is Outcome.TRANSIENT:
                self._tire(lane)
                return False
            lane.failures = 0
            if self._stop_event.is_set():
                claim.close("the node was stopped")
        return True

    def _rest(self, claim: Claim, lane: "_Lane", failure: AssociationFailed) -> None:
        """No association came about: that is this lane's own trouble as long as another one has an association."""
        with self._lock:
            claim.reason = failure.reason
            if failure.kind is FailureKind.STOPPED:
                return
            if claim.answered or self._open:
                self._unreachable = 0
            elif time.monotonic() >= self._resume_at:
                self._unreachable += 1
        self._tire(lane)

    def _tire(self, lane: "_Lane") -> None:
        """A lane that failed leaves a delivery that others are sending alone for a while."""
        lane.failures += 1
        if len(self._lanes) > 1:
            lane.resume_at = time.monotonic() + self._backoff.delay(lane.failures, self._random)

    def _is_rested(self, lane: "_Lane") -> bool:
        return time.monotonic() >= max(self._resume_at, lane.resume_at)

    def _leave(self, claim: Claim) -> bool:
        """Whether the lane that leaves was the last."""
        with self._lock:
            claim.lanes -= 1
            if claim.lanes:
                return False
            self._claims.remove(claim)
            return True

    def _conclude(self, claim: Claim) -> None:
        self._answers.settle()
        attempt = Attempt(
            self.destination.name,
            self._node,
            claim.answered,
            claim.reason,
            self._unreachable,
            self._stop_event.is_set(),
            claim.transcoded,
        )

        def change(session: Session) -> None:
            pause = conclude(session, claim.delivery_id, attempt, lambda n: self._backoff.delay(n, self._random))
            if pause:
                self._resume_at = time.monotonic() + pause

        self._answers.patiently(change)

    def _association(self, share: Share) -> AbstractContextManager[StoreSession]:
        return open_association(
            self.destination,
            self._calling_aet,
            share.outgoings,
            timeouts=self._timeouts,
            stop=self._abort,
            transcode=self._transcode,
        )

    def _invite(self) -> None:
        with self._something_to_join:
            self._something_to_join.notify_all()

    def _wait_for_invitation(self, lane: "_Lane") -> None:
        """Until another lane has an association, or the node stops; a lane that rests waits to its rest's end."""
        rest = max(self._resume_at, lane.resume_at) - time.monotonic()
        with self._something_to_join:
            if not self._stop_event.is_set() and (rest > 0 or not self._joinable()):
                self._something_to_join.wait(rest if 0 < rest < JOIN_SECONDS else JOIN_SECONDS)

    def _outgoing(self, item: OpenItem) -> Outgoing:
        location = Location(item.container, item.offset, item.length)
        return Outgoing.from_location(self._root, item.sop_class_uid, item.sop_uid, item.transfer_syntax_uid, location)


class _Lane:
    """One thread's own memory of the destination."""

    def __init__(self) -> None:
        self.failures = 0
        self.resume_at = 0.0
