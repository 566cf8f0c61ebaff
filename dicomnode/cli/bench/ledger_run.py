"""What `bench ledger` measures: jobs per second from ready to done, and a claim beside a million finished jobs."""

import multiprocessing
import os
import statistics
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from sqlalchemy import func, select

from dicomnode.cli.bench.ledger_rows import fill
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent
from dicomnode.db.repositories import enhancements, holds
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.worker import Held, Worker, WorkerLimits

NODE = "bench"
LIMITS = WorkerLimits(lease_seconds=60, max_seconds=600, retry=RetryPolicy(max_attempts=3, retry_seconds=0))
LAPSED_SHARE = 0.02
"""This part of the jobs is held by a worker that is gone, and comes back by way of the reaper."""
REAP_SECONDS, POLL_SECONDS, STUCK_SECONDS = 0.1, 0.02, 60.0
WARM_UP = 20
WARM_JOBS = 5
"""Jobs that there are for each claimer before the clock starts."""


@dataclass(frozen=True)
class Throughput:
    """`seconds` on the clock until all `jobs` were done; how many claims that took, and how many commits counted."""

    claimers: int
    jobs: int
    seconds: float
    claims: int
    commits: int

    @property
    def per_second(self) -> float:
        return self.jobs / self.seconds


@dataclass(frozen=True)
class ClaimTimes:
    """Median milliseconds of one claim, without its commit, on an otherwise empty ledger and beside finished jobs."""

    finished: int
    claims: int
    empty_ms: float
    beside_ms: float

    @property
    def ratio(self) -> float:
        return self.beside_ms / self.empty_ms


def throughput(url: str, jobs: int, claimers: int) -> Throughput:
    """Let so many worker processes do all the jobs in an empty ledger; each job is nothing but its commit.

    The processes are forked, before this one opens the database: sixteen that load the program anew would need longer
    for that than for the jobs. Off the clock each has done a few before: a worker's first job opens its connection and
    puts its statements together. Jobs are paused while the ledger is filled for the clock.
    """
    context = multiprocessing.get_context("fork")
    go, over = context.Event(), context.Event()
    processes = [context.Process(target=_work, args=(url, number, go, over)) for number in range(claimers)]
    for process in processes:
        process.start()
    database = Database(url)
    try:
        lapsed, warm = int(jobs * LAPSED_SHARE), WARM_JOBS * claimers
        fill(database, ready=warm, name="warm-")
        go.set()
        _wait_until_done(database)
        with database.write() as session:
            holds.hold(session, holds.JOBS, "", NODE, "the ledger is being filled")
        fill(database, ready=jobs - lapsed, lapsed=lapsed)
        began = time.perf_counter()
        with database.write() as session:
            holds.release(session, holds.JOBS, "")
        _wait_until_done(database)
        seconds = time.perf_counter() - began
        claims, commits = (_count(database, what) - warm for what in ("claimed", "done"))
        return Throughput(claimers, jobs, seconds, claims, commits)
    finally:
        over.set()
        go.set()
        for process in processes:
            process.join()
        database.close()


def _work(url: str, number: int, go: Event, over: Event) -> None:
    """One claimer: a worker as the node has it, with nothing to compute."""
    database = Database(url)

    def commit(held: Held) -> None:
        with database.write() as session:
            held.finish(session, held.fenced(session), "done", "")

    worker = Worker(f"{NODE}/cpu/{number}", NODE, database, commit, LIMITS)
    parent = os.getppid()
    while not go.wait(POLL_SECONDS) and os.getppid() == parent:
        pass
    while not over.is_set() and os.getppid() == parent:  # a bench that was killed leaves no claimers behind
        if not worker.run_one():
            over.wait(POLL_SECONDS)
    database.close()


def _wait_until_done(database: Database) -> None:
    """Meanwhile the reaper does what the node's sweep does. Raises TimeoutError when nothing moves any more."""
    done, looked = -1, time.monotonic()
    while True:
        with database.read() as session:
            overdue = ledger.anything_to_reap(session)
            if not enhancements.anything_left(session):
                return
        if overdue:
            with database.write() as session:
                ledger.reap(session, LIMITS.retry, NODE)
        if time.monotonic() - looked > STUCK_SECONDS:
            before, done, looked = done, _count(database, "done"), time.monotonic()
            if done == before:
                raise TimeoutError(f"jobs are left, and none was done in {STUCK_SECONDS:g} s")
        time.sleep(REAP_SECONDS)


def _count(database: Database, what: str) -> int:
    with database.read() as session:
        query = select(func.count()).where(AuditEvent.kind == f"enhancement.{what}")
        return session.scalar(query) or 0


def claim_times(empty: str, beside: str, finished: int, claims: int) -> ClaimTimes:
    """Claim in turns from two ledgers that differ in the jobs that are finished, so that a busy machine hits both."""
    databases = [Database(empty), Database(beside)]
    for database, count in zip(databases, (0, finished), strict=True):
        fill(database, ready=claims + WARM_UP, finished=count)
    seconds: list[list[float]] = [[], []]
    for _ in range(claims + WARM_UP):
        for database, times in zip(databases, seconds, strict=True):
            times.append(_claim(database))
    for database in databases:
        database.close()
    medians = [1000 * statistics.median(times[WARM_UP:]) for times in seconds]
    return ClaimTimes(finished, claims, *medians)


def _claim(database: Database) -> float:
    with database.write() as session:
        database_now(session)  # the transaction has begun, and has its connection
        began = time.perf_counter()
        if ledger.claim(session, f"{NODE}/cpu/0", NODE, LIMITS.lease_seconds) is None:
            raise LookupError("there was nothing to claim")
        session.flush()
        return time.perf_counter() - began
