"""One destination's sender: takes what is due, sends it instance by instance, and writes down every answer.

It has as many lanes as the destination takes associations. A lane is a thread with at most one association: it joins a
delivery that another lane is sending, or claims the next one that is due, so that a long series and many short ones
both use all lanes. Each answer is noted (`answers`) before its lane sends the next instance, so whatever interrupts a
delivery, only what has no answer is sent again. An association that fails costs its lane a rest; the others go on, and
what it left is sent when the back-off of its delivery ends. A destination that is down is tried by one lane of one
node at a time (`outage`). What a claim is still worth, the ledger says (`keeper`), and
before every instance the clock.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random

from dicomnode.db.changes import Changes
from dicomnode.db.database import Database
from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.answers import Answers
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.claim import Claim, Ending
from dicomnode.deliver.conclusion import Attempt, conclude
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.duplicates import judge
from dicomnode.deliver.intake import Intake
from dicomnode.deliver.keeper import Keeper
from dicomnode.deliver.outage import Patience, came_up
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome, Response
from dicomnode.deliver.outgoing import Outgoing
from dicomnode.deliver.parallel import Share, send_one
from dicomnode.deliver.scu import StoreSession, open_association
from dicomnode.deliver.stumbles import Stumbles
from dicomnode.deliver.transcode import Transcode
from dicomnode.domain.instance import Location
from dicomnode.observe import SENT, checkpoint, guarded, log

POLL_SECONDS = 0.25
JOIN_SECONDS = 5.0

_ENDINGS = {FailureKind.STOPPED: Ending.INTERRUPTED, FailureKind.CONFIGURATION: Ending.CONFIGURATION}


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
        lease_seconds: float = 30.0,
        refused_seconds: float = 300.0,
    ) -> None:
        """`refused_seconds`: how long, at most, until one that refused the association for good is asked again."""
        super().__init__(name=f"send-{destination.name}", daemon=True)
        self.destination = destination
        self._database, self._root = database, root
        self._calling_aet, self._node = calling_aet, node
        self._timeouts, self._transcode = timeouts, transcode
        self._patience = Patience(backoff, Backoff(refused_seconds, refused_seconds))
        self._stop_event = threading.Event()
        self._abort = threading.Event()
        self._random = Random()  # noqa: S311 - jitter, not a secret
        self._answers = Answers(database, root, node, destination.name, self._abort)
        self._intake = Intake(database, root, destination.name, node, lease_seconds)
        self._stumbles = Stumbles()
        self._lanes = [_Lane() for _ in range(destination.associations)]
        self._lock = threading.Lock()
        self._something_to_join = threading.Condition()
        self._claims: list[Claim] = []
        self._open = 0
        self._keeper = Keeper(
            database, destination.name, lambda: tuple(self._claims), destination.associations, lease_seconds
        )

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
        self._keeper.start()
        changes = Changes(self._database)
        self._serve(self._lanes[0], partial(changes.wait, self._stop_event, POLL_SECONDS))
        changes.close()
        for thread in others:
            thread.join()
        self._keeper.stop()
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
                log.warning("sender waits", destination=self.destination.name, error=guarded(error))
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
            claim.close(Ending.LOST, f"sending failed: {type(error).__name__}")
            raise
        finally:
            if self._leave(claim):
                self._conclude(claim)
        return True

    def _joinable(self) -> Claim | None:
        return next((claim for claim in tuple(self._claims) if claim.has_room), None)

    def _claim(self) -> Claim | None:
        """The next delivery that is due, now of this sender. Under the lock: two lanes must not knock at once."""
        if self._answers.recover():
            self._intake.ask_now()
        if not self._open and any(not claim.is_established for claim in self._claims):
            return None
        taken = self._intake.next([claim.claimed.id for claim in self._claims])
        if taken is None:
            return None
        claim = Claim(
            taken.claimed,
            taken.items,
            self._outgoing,
            taken.lease,
            transcoding=self._transcode is not None,
            is_probe=taken.is_probe,
        )
        self._claims.append(claim)
        return claim

    def _work(self, claim: Claim, lane: "_Lane") -> None:
        """Send what this lane can get of the delivery, over one association after the other."""
        try:
            for share in claim.shares:
                while share.left and claim.may_send():
                    if not self._send_share(claim, share, lane):
                        return
        except AssociationFailed as failure:
            claim.end(_ENDINGS.get(failure.kind, Ending.UNREACHABLE), failure.reason)
            if failure.kind is not FailureKind.STOPPED:
                self._tire(lane)

    def _send_share(self, claim: Claim, share: Share, lane: "_Lane") -> bool:
        """Over one association. Returns whether this lane may go on with the delivery."""
        with self._association(share) as session, self._counted():
            if not claim.is_probe:
                claim.is_established = True
                self._invite()
            return self._send_while_open(claim, share, lane, session)

    def _send_while_open(self, claim: Claim, share: Share, lane: "_Lane", session: StoreSession) -> bool:
        while session.is_open and claim.may_send() and (outgoing := share.take()) is not None:
            checkpoint("sending")
            item = claim.items[outgoing.sop_instance_uid]
            try:
                response = send_one(session, outgoing)
            except Exception as error:
                self._stumble(claim, item, error)
                continue
            SENT.labels(self.destination.name, response.outcome.value).inc()
            self._take_in(claim, item, response)
            if response.outcome is Outcome.TRANSIENT:
                self._tire(lane)
                return False
            lane.failures = 0
            if not claim.is_established:
                self._came_up(claim)
            if self._stop_event.is_set():
                claim.close(Ending.INTERRUPTED, "the node was stopped")
        return True

    def _take_in(self, claim: Claim, item: OpenItem, response: Response) -> None:
        """An answer is noted before the next instance goes out; one that can mean two things is looked into later."""
        if claim.is_doubtful(item, response):
            claim.doubtful.append((item, response))
            return
        self._answers.note(item, response)
        with self._lock:
            claim.note(response)

    def _stumble(self, claim: Claim, item: OpenItem, error: Exception) -> None:
        """This node failed at an instance, as nobody foresaw. The others go on; what is left of the delivery rests."""
        response = self._stumbles.answer(item, error)
        SENT.labels(self.destination.name, response.outcome.value).inc()
        self._answers.note(item, response)
        if response.outcome is Outcome.TRANSIENT:
            claim.end(Ending.STUMBLED, response.detail)

    def _came_up(self, claim: Claim) -> None:
        """The destination answers after all: every lane of every node may go on."""
        self._answers.patiently(lambda session: came_up(session, self.destination.name, self._node))
        claim.is_established, claim.is_probe = True, False
        self._invite()

    def _tire(self, lane: "_Lane") -> None:
        """A lane that failed leaves a delivery that others are sending alone for a while."""
        lane.failures += 1
        if len(self._lanes) > 1:
            lane.resume_at = time.monotonic() + self._patience.backoff.delay(lane.failures, self._random)

    def _is_rested(self, lane: "_Lane") -> bool:
        return time.monotonic() >= lane.resume_at

    def _leave(self, claim: Claim) -> bool:
        """Whether the lane that leaves was the last."""
        with self._lock:
            claim.lanes -= 1
            claim.is_left = claim.lanes == 0
            return claim.is_left

    def _conclude(self, claim: Claim) -> None:
        """Its last lane has left. The claim is in hand until this is written, so that nothing else takes it up."""
        try:
            self._settle_doubts(claim)
            attempt = Attempt(
                claim.claimed,
                self.destination.name,
                self._node,
                claim.answered,
                claim.ending,
                claim.reason,
                was_probe=claim.is_probe,
                is_alone=self._open == 0,
                transcoded=claim.transcoded,
            )
            self._answers.settle(lambda session: conclude(session, attempt, self._delay_after))
        finally:
            with self._lock:
                self._claims.remove(claim)

    def _settle_doubts(self, claim: Claim) -> None:
        if not claim.doubtful:
            return
        judged = judge(
            self._database,
            claim.claimed.id,
            claim.doubtful,
            self.destination,
            self._calling_aet,
            timeouts=self._timeouts,
            stop=self._abort,
        )
        for item, response in judged:
            self._answers.note(item, response)
            claim.note(response)

    def _delay_after(self, kind: str, attempts: int) -> float:
        return self._patience.delay(kind, attempts, self._random)

    def _association(self, share: Share) -> AbstractContextManager[StoreSession]:
        return open_association(
            self.destination,
            self._calling_aet,
            share.outgoings,
            timeouts=self._timeouts,
            stop=self._abort,
            transcode=self._transcode,
        )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """An association stands meanwhile."""
        with self._lock:
            self._open += 1
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def _invite(self) -> None:
        with self._something_to_join:
            self._something_to_join.notify_all()

    def _wait_for_invitation(self, lane: "_Lane") -> None:
        """Until another lane has an association, or the node stops; a lane that rests waits to its rest's end."""
        rest = lane.resume_at - time.monotonic()
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
