"""A worker process: one device slot, a warm model, and a loop that claims work until it is told to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dicomnode.db.database import Database
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, RetryPolicy, StaleAttempt
from dicomnode.observe import checkpoint, log
from dicomnode.store.container import NO_ROOM
from dicomnode.store.errors import StoreFull

POLL_SECONDS = 0.2


class Stopping(Exception):
    """The worker was told to stop in the middle of a job: the job goes back unharmed."""


class JobFailed(Exception):
    """The attempt failed; the message is what an operator reads."""


@dataclass(frozen=True)
class WorkerLimits:
    """Lease length, the longest a job may take (its lease is not renewed beyond it) and the retry policy."""

    lease_seconds: float
    max_seconds: float
    retry: RetryPolicy


class Held:
    """A job in hand: keeps its lease alive in the background and is asked, stage by stage, whether to go on."""

    def __init__(self, worker: "Worker", claim: Claim) -> None:
        self.claim = claim
        self._worker = worker
        self._stage = "claimed"
        self._over = threading.Event()
        self._stale = False
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def stage(self, name: str) -> None:
        """The work reached a stage. Raises Stopping or StaleAttempt when it should not go on."""
        self._stage = name
        checkpoint(name)
        self.check()

    def check(self) -> None:
        """Raises Stopping or StaleAttempt when the work should not go on; cheap enough for every slice."""
        if self._worker.stopping.is_set():
            raise Stopping
        if self._stale:
            raise StaleAttempt("the lease was lost")

    def _renew(self) -> None:
        limits = self._worker.limits
        renewals = int(limits.max_seconds / limits.lease_seconds * 3) + 1
        for _ in range(renewals):
            if self._over.wait(limits.lease_seconds / 3):
                return
            try:
                with self._worker.database.write() as session:
                    self._stale = not ledger.renew(session, self.claim, limits.lease_seconds, self._stage)
            except Exception as error:
                log.warning("lease not renewed", enhancement=self.claim.enhancement_id, error=type(error).__name__)
            if self._stale:
                return

    def __enter__(self) -> "Held":
        self._thread.start()
        return self

    def __exit__(self, *args: object) -> None:
        self._over.set()
        self._thread.join()


class Worker:
    """Claims and runs until `stop`. `run_job` does the work and commits it under the claim's fence.

    `outdated` is asked between jobs: once the code of the work has changed, `run` returns, and a new process goes on.
    """

    def __init__(
        self,
        name: str,
        node: str,
        database: Database,
        run_job: Callable[[Held], None],
        limits: WorkerLimits,
        outdated: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name, self.node, self.database, self.limits = name, node, database, limits
        self.stopping = threading.Event()
        self._run_job, self._outdated = run_job, outdated
        self._idle = True

    def stop(self) -> None:
        self.stopping.set()

    def run(self) -> None:
        """Work until told to stop, or outdated. A database that does not answer is waited for."""
        while not self.stopping.is_set() and not self._outdated():
            try:
                worked = self.run_one()
            except Exception as error:
                log.warning("worker waits for the ledger", worker=self.name, error=f"{type(error).__name__}: {error}")
                worked = self.stopping.wait(1.0)
            if not worked:
                self.stopping.wait(POLL_SECONDS)

    def run_one(self) -> bool:
        """Claim and run one job. False when there is none."""
        claim = self._claim()
        if claim is None:
            return False
        with Held(self, claim) as held:
            try:
                held.stage("claimed")
                self._run_job(held)
            except StaleAttempt as error:
                log.warning("attempt no longer counts", enhancement=claim.enhancement_id, reason=str(error))
            except Stopping:
                self._give_back(claim)
            except Exception as error:
                self._failed(claim, error)
        return True

    def _claim(self) -> Claim | None:
        if self._idle:
            with self.database.read() as session:
                if not ledger.anything_to_claim(session):
                    return None
        with self.database.write() as session:
            claim = ledger.claim(session, self.name, self.node, self.limits.lease_seconds)
        self._idle = claim is None
        return claim

    def _give_back(self, claim: Claim) -> None:
        with self.database.write() as session:
            ledger.release(session, ledger.fenced(session, claim), "the worker was stopped")

    def _failed(self, claim: Claim, error: Exception) -> None:
        reason = str(error) if isinstance(error, JobFailed) else f"{type(error).__name__}: {error}"
        log.error("attempt failed", enhancement=claim.enhancement_id, reason=reason, exc_info=error)
        with self.database.write() as session:
            row = ledger.fenced(session, claim)
            if _lacks_room(error):  # not the work's fault: it waits, however long that takes
                ledger.release(session, row, f"waits for room: {reason}", pause=self.limits.retry.retry_seconds)
            else:
                ledger.fail_attempt(session, row, reason, self.limits.retry, self.node)


def _lacks_room(error: Exception) -> bool:
    return isinstance(error, StoreFull) or (isinstance(error, OSError) and error.errno in NO_ROOM)
