"""A worker process: one device slot, a warm model, and a loop that claims work until it is told to stop."""

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from dicomnode.db.changes import Changes
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.domain.off_peak import ALWAYS, OffPeak
from dicomnode.jobs import ledger
from dicomnode.jobs.lease import LeaseKeeper, Tenure
from dicomnode.jobs.ledger import Claim, EnhancingStopped, RetryPolicy, StaleAttempt
from dicomnode.jobs.waiting import shut
from dicomnode.observe import checkpoint, guarded, in_short, log
from dicomnode.store.container import NO_ROOM
from dicomnode.store.errors import StoreFull

POLL_SECONDS = 0.2


class Stopping(Exception):
    """The worker was told to stop in the middle of a job: the job goes back unharmed."""


class JobFailed(Exception):
    """The attempt failed; the message is what an operator reads."""


@dataclass(frozen=True)
class WorkerLimits:
    """Lease length, the longest a job may take (its lease is not renewed beyond it), the retry policy, and the hours
    of off-peak work."""

    lease_seconds: float
    max_seconds: float
    retry: RetryPolicy
    off_peak: OffPeak = ALWAYS


class Held:
    """A job in hand: its lease is kept alive in the background, and it is asked, stage by stage, whether to go on."""

    def __init__(self, worker: "Worker", claim: Claim) -> None:
        self.claim = claim
        self.following: Claim | None = None
        """What the worker does next, taken in the transaction that finished this; only if that was committed."""
        self.fenced_at: datetime
        """The database's clock when the commit had passed the fence."""
        self._worker = worker
        self._tenure = Tenure(claim)
        self._is_last = False

    def stage(self, name: str) -> None:
        """The work reached a stage. Raises as `check` does when it should not go on.

        Whether it is this worker's last work is asked here, not by `finish`: the answer is read from files, for which
        no transaction should wait. What changes after the last stage, `run` sees before it begins what was taken.
        """
        self._tenure.stage = name
        checkpoint(name)
        self.check()
        self._is_last = self._worker.ends()

    def check(self) -> None:
        """Raises Stopping, StaleAttempt or EnhancingStopped when the work should not go on; cheap enough for every
        slice."""
        if self._worker.stopping.is_set():
            raise Stopping("the worker was stopped")
        if self._tenure.interruption is not None:
            raise self._tenure.interruption

    @property
    def is_interrupted(self) -> bool:
        """Whether the attempt no longer counts, or enhancing was stopped, as far as is known by now."""
        return self._tenure.interruption is not None

    def fenced(self, session: Session) -> Enhancement:
        """The work, locked for its commit in this transaction. Raises StaleAttempt or EnhancingStopped."""
        row, self.fenced_at = ledger.fenced_at(session, self.claim)
        return row

    def finish(self, session: Session, row: Enhancement, state: str, reason: str) -> None:
        """End what `fenced` gave, in the same transaction, and take in it what this worker does next."""
        if self._is_last or self._worker.stopping.is_set():
            ledger.finish(session, row, state, reason, self._worker.node)
        else:
            self.following = self._worker.finish_and_claim(session, row, state, reason, self.fenced_at)

    def __enter__(self) -> "Held":
        self._worker.leases.keep(self._tenure)
        return self

    def __exit__(self, *args: object) -> None:
        self._worker.leases.let_go()


class Worker:
    """Claims and runs until `stop`. `run_job` does the work and commits it under the claim's fence.

    `outdated` is asked between jobs and at their stages: once the code of the work has changed, `run` returns, and a
    new process goes on.
    `pastime` is what an idle worker does, a little at a time: it is given a function that says when it is wanted back,
    and returns whether it did anything.
    """

    def __init__(
        self,
        name: str,
        node: str,
        database: Database,
        run_job: Callable[[Held], None],
        limits: WorkerLimits,
        outdated: Callable[[], bool] = lambda: False,
        pastime: Callable[[Callable[[], bool]], bool] = lambda is_wanted: False,
    ) -> None:
        self.name, self.node, self.database, self.limits = name, node, database, limits
        self.stopping = threading.Event()
        self.leases = LeaseKeeper(database, limits.lease_seconds, limits.max_seconds)
        self._run_job, self._outdated, self._pastime = run_job, outdated, pastime
        self._following: Claim | None = None
        self._idle = True
        self._is_blind = False

    def stop(self) -> None:
        self.stopping.set()

    def run(self) -> None:
        """Work until told to stop, or outdated. A database that does not answer is waited for."""
        changes = Changes(self.database)
        while not self.ends():
            try:
                worked = self.run_one() or self._pastime(self.is_wanted)
            except Exception as error:
                log.warning("worker waits for the ledger", worker=self.name, error=in_short(error))
                worked = self.stopping.wait(1.0)
            if not worked:
                changes.wait(self.stopping, POLL_SECONDS)
        changes.close()
        if self._following is not None:
            self._give_back(self._following, "the worker was stopped")

    def is_wanted(self) -> bool:
        """Whether there is a job to claim, or the worker is to end; a read."""
        if self.ends():
            return True
        with self.database.read() as session:
            return ledger.anything_to_claim(session, shut=self._shut())

    def run_one(self) -> bool:
        """Run one job: the one that was taken with the last one's end, or what can be claimed. False if none can."""
        claim, self._following = self._following or self._claim(), None
        if claim is None:
            return False
        with Held(self, claim) as held:
            try:
                held.stage("claimed")
                self._run_job(held)
            except StaleAttempt as error:
                log.warning("attempt no longer counts", enhancement=claim.enhancement_id, reason=str(error))
            except (Stopping, EnhancingStopped) as error:
                self._give_back(claim, str(error))
            except Exception as error:
                self._failed(claim, error)
            else:
                self._following = held.following
                return True
        if held.following is not None:  # its transaction may or may not have been committed
            self._give_back(held.following, "the worker could not go on")
        return True

    def finish_and_claim(
        self, session: Session, row: Enhancement, state: str, reason: str, at: datetime
    ) -> Claim | None:
        """For `Held`: end a job at `at`, and take the next."""
        lease, shut = self.limits.lease_seconds, self._shut()
        return ledger.finish_and_claim(
            session, row, state, reason, self.node, at=at, worker=self.name, lease_seconds=lease, shut=shut
        )

    def ends(self) -> bool:
        """Whether no more work is to be taken. Where nobody can tell, the code of the work is taken to be as it was."""
        if self.stopping.is_set():
            return True
        try:
            is_outdated = self._outdated()
        except Exception as error:
            if not self._is_blind:
                log.warning("worker cannot tell whether its code has changed", worker=self.name, error=in_short(error))
            self._is_blind = True
            return False
        self._is_blind = False
        return is_outdated

    def _claim(self) -> Claim | None:
        if self._idle:
            with self.database.read() as session:
                if not ledger.anything_to_claim(session, shut=self._shut()):
                    return None
        with self.database.write() as session:
            claim = ledger.claim(session, self.name, self.node, self.limits.lease_seconds, shut=self._shut())
        self._idle = claim is None
        return claim

    def _shut(self) -> int:
        return shut(self.limits.off_peak, datetime.now(UTC))

    def _give_back(self, claim: Claim, reason: str, pause: float = 0.0) -> None:
        with suppress(StaleAttempt), self.database.write() as session:
            ledger.give_back(session, claim, reason, self.node, pause)

    def _failed(self, claim: Claim, error: Exception) -> None:
        reason = str(error) if isinstance(error, JobFailed) else guarded(error)
        frames = "".join(traceback.format_tb(error.__traceback__))  # without its words, which may quote a header
        log.error("attempt failed", enhancement=claim.enhancement_id, reason=reason, frames=frames)
        if _lacks_room(error):  # not the work's fault: it waits, however long that takes
            self._give_back(claim, f"waits for room: {reason}", pause=self.limits.retry.retry_seconds)
            return
        with suppress(StaleAttempt), self.database.write() as session:
            ledger.attempt_failed(session, claim, reason, self.limits.retry, self.node)


def _lacks_room(error: Exception) -> bool:
    return isinstance(error, StoreFull) or (isinstance(error, OSError) and error.errno in NO_ROOM)
