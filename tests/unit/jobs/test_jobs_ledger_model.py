"""The ledger held against a plain model, on both databases: whatever workers, clocks, nodes and operators do, and in
whatever order, work is done once, is never lost, always the most urgent goes first, and nothing that is stopped."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import booleans, integers, sampled_from, sets
from sqlalchemy import delete, func, select, update
from support.ledger import NOW, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Enhancement, Hold
from dicomnode.db.repositories import enhancements, holds, job_list
from dicomnode.db.repositories.job_list import JobFilter
from dicomnode.jobs import ledger, switches
from dicomnode.jobs.ledger import Claim, EnhancingStopped, RetryPolicy, StaleAttempt
from dicomnode.jobs.operators import operator_moves
from dicomnode.jobs.work import enter

FAR = datetime(2100, 1, 1, tzinfo=UTC)
RETRY = RetryPolicy(max_attempts=3, retry_seconds=3600)
WORKERS = ("a/cpu/0", "a/cpu/1", "b/cpu/0")
RETRIABLE = {"failed", "withheld", "cancelled", "expired"}
CANCELLABLE = {"ready", "running"}
OFF_PEAK, SHADOW, NOTHING_SHUT = 2, 3, -1
index = integers(0, 50)


@dataclass
class Job:
    """What the model knows of a piece of work."""

    priority: int
    generation: int
    deadline: str
    """`none`, `ahead` or `passed`."""
    state: str = "ready"
    attempt: int = 0
    failures: int = 0
    worker: str = ""
    pauses: bool = False
    """Waits after a failed attempt."""
    lapsed: bool = False
    """Its lease has run out, and nobody has noticed yet."""
    is_next: bool = False
    """It was taken with the end of another, and nothing was heard of it since."""
    outrun: bool = False
    """A newer generation was asked for while it ran."""
    came_back: bool = False
    """The last who had it died before it began."""

    def ends(self, state: str) -> None:
        """What is over says who had it; what waits is nobody's."""
        self.state, self.lapsed = state, False
        self.worker = "" if state == "ready" else self.worker

    def fails(self) -> None:
        self.failures = 0 if self.outrun else self.failures + 1
        self.pauses = self.failures < RETRY.max_attempts
        self.ends("ready" if self.pauses else "failed")

    def is_lost(self) -> bool:
        """Its worker is gone. Whether that is a failed attempt."""
        if self.is_next:
            self.came_back = True
            self.ends("ready")
            return False
        self.fails()
        return True

    def begins_anew(self) -> None:
        self.ends("ready")
        self.failures, self.pauses = 0, False


class LedgerAgainstModel(RuleBasedStateMachine):
    """Each rule does the same to the ledger and to the model; after each the two are compared."""

    database: Database

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[int, Job] = {}
        self.claims: list[Claim] = []
        self.held: set[tuple[str, str]] = set()
        with self.database.write() as session:
            session.execute(delete(Hold))
            session.execute(delete(Enhancement))
            session.execute(delete(AuditEvent))

    @rule(number=integers(0, 4), generation=integers(1, 3), priority=integers(0, 3), in_time=booleans())
    def enter(self, number: int, generation: int, priority: int, in_time: bool) -> None:
        asked = work(number, generation=generation, priority=priority, deadline_at=FAR if in_time else None)
        with self.database.write() as session:
            id = enter(session, asked, "a", NOW).id
        deadline = "ahead" if in_time else "none"
        job = self.jobs.setdefault(id, Job(priority, generation, deadline))
        begins_anew = job.generation < generation and job.state in ("done", "withheld", "failed", "expired")
        if job.priority < SHADOW <= priority and not begins_anew:
            pass  # a shadow has no say in what others wait for
        elif job.generation < generation or priority < SHADOW <= job.priority:
            job.deadline = deadline
        else:
            job.deadline = "none" if "none" in (job.deadline, deadline) else deadline
        job.priority = min(job.priority, priority)
        if job.generation < generation:
            job.generation, job.failures = generation, 0
            job.outrun = job.state == "running"
            if begins_anew:
                job.begins_anew()

    @rule(worker=sampled_from(WORKERS), shut=sampled_from([OFF_PEAK, NOTHING_SHUT]))
    def claim(self, worker: str, shut: int) -> None:
        with self.database.write() as session:
            there_is = ledger.anything_to_claim(session, shut=shut)
            claim = ledger.claim(session, worker, worker[0], 60, shut=shut)
        assert there_is == bool(self.claimable(shut))
        self.is_claimed(claim, worker, shut)

    def claimable(self, shut: int) -> dict[int, int]:
        """Priorities of the work that may start, by its number."""
        if self.held & {(holds.ENHANCING, ""), (holds.JOBS, ""), (holds.JOBS, "p")}:
            return {}
        ready = {id: job.priority for id, job in self.jobs.items() if job.state == "ready" and not job.pauses}
        return {id: priority for id, priority in ready.items() if priority != shut}

    def is_claimed(self, claim: Claim | None, worker: str, shut: int, with_end: bool = False) -> None:
        may = self.claimable(shut)
        if claim is None:
            assert not may
            return
        assert may[claim.enhancement_id] == min(may.values())
        job = self.jobs[claim.enhancement_id]
        job.state, job.worker, job.attempt = "running", worker, job.attempt + 1
        job.is_next, job.came_back, job.outrun = with_end and not job.came_back, False, False
        assert claim == Claim(claim.enhancement_id, job.attempt, job.generation, worker)
        self.claims.append(claim)

    @rule(name=sampled_from(["", "p", "another"]), pause=booleans())
    def pause_or_resume(self, name: str, pause: bool) -> None:
        with self.database.write() as session:
            if pause:
                changed = switches.pause(session, name, "op", "", "a")
            else:
                changed = switches.resume(session, name, "op", "a")
        self.is_held((holds.JOBS, name), pause, changed)

    @rule(stop=booleans())
    def stop_or_start(self, stop: bool) -> None:
        with self.database.write() as session:
            if stop:
                changed = switches.stop_enhancing(session, "op", "", "a")
            else:
                changed = switches.start_enhancing(session, "op", "a")
        self.is_held((holds.ENHANCING, ""), stop, changed)

    def is_held(self, what: tuple[str, str], wanted: bool, changed: bool) -> None:
        assert changed == (wanted != (what in self.held))
        self.held = self.held | {what} if wanted else self.held - {what}

    @property
    def is_stopped(self) -> bool:
        return (holds.ENHANCING, "") in self.held

    def counts(self, claim: Claim) -> bool:
        job = self.jobs[claim.enhancement_id]
        return job.state == "running" and job.attempt == claim.attempt

    @precondition(lambda self: self.claims)
    @rule(index=index)
    def heartbeat(self, index: int) -> None:
        claim = self.claims[index % len(self.claims)]
        with self.database.write() as session:
            assert ledger.renew(session, claim, 60, "inferred") == self.counts(claim)
        if self.counts(claim):
            job = self.jobs[claim.enhancement_id]
            job.lapsed = job.is_next = False

    @precondition(lambda self: self.claims)
    @rule(index=index)
    def asks_whether_to_go_on(self, index: int) -> None:
        claim = self.claims[index % len(self.claims)]
        with self.database.read() as session:
            why = ledger.interruption(session, claim)
        wanted = EnhancingStopped if self.is_stopped else None
        assert type(why) is (StaleAttempt if not self.counts(claim) else wanted or type(None))

    @precondition(lambda self: self.claims)
    @rule(index=index, end=sampled_from(["done", "withheld", "expired", "fail", "give back"]))
    def worker_ends(self, index: int, end: str) -> None:
        """Also one that was paused past its lease, and comes back: then nothing may change."""
        claim = self.claims[index % len(self.claims)]
        refusal = StaleAttempt if not self.counts(claim) else EnhancingStopped
        if refusal is StaleAttempt or (self.is_stopped and end not in ("fail", "give back")):
            with pytest.raises(refusal):
                self.end(claim, end)
            return
        self.end(claim, end)
        job = self.jobs[claim.enhancement_id]
        if end == "fail":
            job.fails()
            return
        goes_back = end == "give back" or (job.outrun and end != "expired")
        job.ends("ready" if goes_back else end)
        job.failures = 0 if end == "done" else job.failures

    def end(self, claim: Claim, end: str) -> None:
        with self.database.write() as session:
            if end == "fail":
                ledger.attempt_failed(session, claim, "broken", RETRY, "a")
            elif end == "give back":
                ledger.give_back(session, claim, "stopped", "a")
            else:
                row = ledger.fenced(session, claim)
                if end == "expired" or not ledger.gives_way(session, row, claim, "", "a"):
                    ledger.finish(session, row, end, "", "a")

    def ends_its_work(self, claim: Claim) -> bool:
        """Whether this claim still counts, and is of the newest generation."""
        return self.counts(claim) and not self.jobs[claim.enhancement_id].outrun

    @precondition(lambda self: not self.is_stopped and any(map(self.ends_its_work, self.claims)))
    @rule(index=index, shut=sampled_from([OFF_PEAK, NOTHING_SHUT]))
    def worker_ends_and_claims_the_next(self, index: int, shut: int) -> None:
        standing = [claim for claim in self.claims if self.ends_its_work(claim)]
        claim = standing[index % len(standing)]
        with self.database.write() as session:
            row, at = ledger.fenced_at(session, claim)
            then = {"at": at, "worker": claim.worker, "lease_seconds": 60, "shut": shut}
            following = ledger.finish_and_claim(session, row, "done", "", "a", **then)
        job = self.jobs[claim.enhancement_id]
        job.ends("done")
        job.failures = 0
        self.is_claimed(following, claim.worker, shut, with_end=True)

    def running(self, **values: object) -> list[tuple[int, Job]]:
        wanted = {"state": "running", **values}
        return [(id, job) for id, job in self.jobs.items() if wanted.items() <= vars(job).items()]

    @precondition(lambda self: self.running(lapsed=False))
    @rule(index=index)
    def lease_runs_out(self, index: int) -> None:
        running = self.running(lapsed=False)
        id, job = running[index % len(running)]
        self.edit(id, lease_until=NOW)
        job.lapsed = True

    @precondition(lambda self: any(job.deadline == "ahead" for job in self.jobs.values()))
    @rule(index=index)
    def deadline_passes(self, index: int) -> None:
        ahead = [(id, job) for id, job in self.jobs.items() if job.deadline == "ahead"]
        id, job = ahead[index % len(ahead)]
        self.edit(id, deadline_at=NOW)
        job.deadline = "passed"

    @precondition(lambda self: any(job.pauses for job in self.jobs.values()))
    @rule()
    def pauses_end(self) -> None:
        for id, job in self.jobs.items():
            if job.pauses:
                self.edit(id, not_before=NOW)
                job.pauses = False

    def edit(self, id: int, **values: datetime) -> None:
        with self.database.write() as session:
            session.execute(update(Enhancement).where(Enhancement.id == id).values(values))

    @rule()
    def reap(self) -> None:
        lapsed = [job for _, job in self.running(lapsed=True)]
        late = [job for job in self.jobs.values() if job.deadline == "passed"]  # also while enhancing is stopped
        with self.database.read() as session:
            assert ledger.anything_to_reap(session) == bool(lapsed or [job for job in late if job.state == "ready"])
        with self.database.write() as session:
            hanging = ledger.reap(session, RETRY, "a")
        assert sorted(hanging) == sorted(job.worker for job in lapsed)
        for job in lapsed:
            job.is_lost()
        for job in late:
            if job.state == "ready":
                job.ends("expired")

    @rule(worker=sampled_from(WORKERS))
    def worker_dies(self, worker: str) -> None:
        with self.database.write() as session:
            died = ledger.worker_died(session, worker, "killed", RETRY, worker[0])
        assert died == sum([job.is_lost() for _, job in self.running(worker=worker)])

    @rule(node=sampled_from("ab"))
    def node_restarts(self, node: str) -> None:
        with self.database.write() as session:
            died = ledger.node_restarted(session, f"{node}/", RETRY, node)
        its = [job for _, job in self.running() if job.worker.startswith(f"{node}/")]
        assert died == sum([job.is_lost() for job in its])

    @precondition(lambda self: self.jobs)
    @rule(index=index, wanted=sampled_from(["ready", "cancelled"]))
    def operator(self, index: int, wanted: str) -> None:
        id = sorted(self.jobs)[index % len(self.jobs)]
        if self.jobs[id].state in (RETRIABLE if wanted == "ready" else CANCELLABLE):
            self.operator_moves(id, wanted)
            return
        with pytest.raises(ValueError, match="cannot become"):
            self.move(id, wanted)

    @rule(
        wanted=sampled_from(["ready", "cancelled"]),
        states=sets(sampled_from(sorted(RETRIABLE | CANCELLABLE)), min_size=1),
    )
    def operator_moves_all(self, wanted: str, states: set[str]) -> None:
        possible = sorted(states & (RETRIABLE if wanted == "ready" else CANCELLABLE))
        with self.database.read() as session:
            chosen = job_list.numbers(session, JobFilter(tuple(possible), "p")) if possible else []
        assert chosen == sorted(id for id, job in self.jobs.items() if job.state in possible)
        for id in chosen:
            self.operator_moves(id, wanted)

    def operator_moves(self, id: int, wanted: str) -> None:
        self.move(id, wanted)
        job = self.jobs[id]
        job.begins_anew()
        job.state = wanted
        job.deadline = "none" if wanted == "ready" else job.deadline

    def move(self, id: int, wanted: str) -> None:
        with self.database.write() as session:
            row = enhancements.find(session, id)
            assert row is not None
            operator_moves(session, row, wanted, "op", "a", NOW)

    @invariant()
    def the_table_is_the_model(self) -> None:
        with self.database.read() as session:
            rows = {row.id: row for row in enhancements.listing(session, 100)}
            claimed = session.scalar(select(func.count()).where(AuditEvent.kind == "enhancement.claimed"))
        assert rows.keys() == self.jobs.keys()
        for id, job in self.jobs.items():
            for name in ("state", "attempt", "failures", "priority", "generation", "worker"):
                assert getattr(rows[id], name) == getattr(job, name), (id, name)
            assert (rows[id].lease_until is not None) == (job.state == "running")
            assert (rows[id].deadline_at is None) == (job.deadline == "none")
        assert claimed == len(self.claims) == sum(job.attempt for job in self.jobs.values())


def test_the_ledger_is_the_model(database: Database) -> None:
    with_series(database)
    machine = type("Machine", (LedgerAgainstModel,), {"database": database})
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=40, deadline=None))
