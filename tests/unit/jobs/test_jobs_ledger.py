"""The ledger held against a model: whatever workers, clocks and operators do, work is done once and never lost."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.strategies import integers, sampled_from
from sqlalchemy import text, update

from dicomnode.db import migrate
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement, Series, Study
from dicomnode.db.repositories import enhancements
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, RetryPolicy, StaleAttempt, Work

NOW = datetime(2026, 5, 1, tzinfo=UTC)
RETRY = RetryPolicy(max_attempts=3, retry_seconds=0)
SERIES = "1.2.3"


def new_database(folder: str) -> Database:
    database = Database(f"sqlite:///{folder}/ledger.db")
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.connection.dbapi_connection.execute("PRAGMA synchronous=OFF")  # type: ignore[union-attr]
    with database.write() as session:
        session.add(
            Study(
                uid="1.2", patient_id="", patient_name="", accession_number="", study_date="", description="",
                first_seen_at=NOW,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            Series(
                uid=SERIES, study_uid="1.2", modality="CT", series_number="", description="", calling_aet="",
                called_aet="", state="complete", last_arrival_at=NOW,
            )
        )  # fmt: skip
    return database


def work(number: int, *, generation: int = 1, priority: int = 1, volume: bool = False) -> Work:
    return Work(SERIES, generation, Recipe("p", "1", params={"n": number}), priority, per_generation=volume)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return new_database(str(tmp_path))


class LedgerAgainstModel(RuleBasedStateMachine):
    """The model: for each piece of work its state, the attempt that counts, and how often it failed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = new_database(self.folder.name)
        self.model: dict[int, list[object]] = {}  # id -> [state, attempt, failures]
        self.claims: list[Claim] = []

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(number=integers(0, 4))
    def enter(self, number: int) -> None:
        with self.database.write() as session:
            row = ledger.enter(session, work(number), "n", NOW)
        self.model.setdefault(row.id, ["ready", 0, 0])

    @rule(worker=sampled_from(["a", "b"]))
    def claim(self, worker: str) -> None:
        with self.database.write() as session:
            claim = ledger.claim(session, worker, "n", 60)
        ready = [id for id, (state, _, _) in self.model.items() if state == "ready"]
        if claim is None:
            assert not ready
            return
        entry = self.model[claim.enhancement_id]
        assert entry[0] == "ready"
        entry[0], entry[1] = "running", int(str(entry[1])) + 1
        assert claim.attempt == entry[1]
        self.claims.append(claim)

    def counts(self, claim: Claim) -> bool:
        state, attempt, _ = self.model[claim.enhancement_id]
        return state == "running" and attempt == claim.attempt

    @precondition(lambda self: self.claims)
    @rule(index=integers(0, 50), end=sampled_from(["done", "withheld", "fail", "release"]))
    def finish(self, index: int, end: str) -> None:
        claim = self.claims[index % len(self.claims)]
        if not self.counts(claim):
            with pytest.raises(StaleAttempt), self.database.write() as session:
                ledger.fenced(session, claim)
            return
        with self.database.write() as session:
            row = ledger.fenced(session, claim)
            if end == "fail":
                ledger.fail_attempt(session, row, "broken", RETRY, "n")
            elif end == "release":
                ledger.release(session, row, "stopped")
            else:
                ledger.finish(session, row, end, "", "n")
        entry = self.model[claim.enhancement_id]
        if end == "fail":
            entry[2] = int(str(entry[2])) + 1
            entry[0] = "failed" if entry[2] == RETRY.max_attempts else "ready"
        else:
            entry[0] = "ready" if end == "release" else end
            entry[2] = 0 if end == "done" else entry[2]

    @rule()
    def leases_run_out(self) -> None:
        with self.database.write() as session:
            session.execute(update(Enhancement).where(Enhancement.state == "running").values(lease_until=NOW))
            ledger.reap(session, RETRY, "n")
        for entry in self.model.values():
            if entry[0] == "running":
                entry[2] = int(str(entry[2])) + 1
                entry[0] = "failed" if entry[2] == RETRY.max_attempts else "ready"

    @precondition(lambda self: self.model)
    @rule(index=integers(0, 50), wanted=sampled_from(["ready", "cancelled"]))
    def operator(self, index: int, wanted: str) -> None:
        id = sorted(self.model)[index % len(self.model)]
        entry = self.model[id]
        allowed = {"ready": {"failed", "withheld", "cancelled", "expired"}, "cancelled": {"ready", "running"}}
        with self.database.write() as session:
            row = enhancements.find(session, id)
            assert row is not None
            if entry[0] in allowed[wanted]:
                ledger.operator_moves(session, row, wanted, "op", "n", NOW)
                entry[0], entry[2] = wanted, 0
            else:
                with pytest.raises(ValueError, match="cannot become"):
                    ledger.operator_moves(session, row, wanted, "op", "n", NOW)

    @invariant()
    def the_table_is_the_model(self) -> None:
        with self.database.read() as session:
            rows = {row.id: [row.state, row.attempt, row.failures] for row in enhancements.listing(session, 100)}
        assert rows == self.model


LedgerAgainstModel.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
TestLedgerAgainstModel = LedgerAgainstModel.TestCase


def test_equal_work_is_one_row_and_a_volume_is_new_work_each_generation(database: Database) -> None:
    with database.write() as session:
        first = ledger.enter(session, work(1), "n", NOW)
        assert ledger.enter(session, work(1), "n", NOW).id == first.id
        assert ledger.enter(session, work(2), "n", NOW).id != first.id
        volume = ledger.enter(session, work(1, volume=True), "n", NOW)
        assert ledger.enter(session, work(1, generation=2, volume=True), "n", NOW).id != volume.id


def test_urgent_work_goes_first(database: Database) -> None:
    with database.write() as session:
        for number, priority in enumerate((2, 1, 0, 1)):
            ledger.enter(session, work(number, priority=priority), "n", NOW)
    order = []
    for _ in range(4):
        with database.write() as session:
            claim = ledger.claim(session, "w", "n", 60)
            assert claim is not None
            row = enhancements.find(session, claim.enhancement_id)
            assert row is not None
            order.append(row.params["n"])
    assert order == [2, 1, 3, 0]


def test_a_late_instance_makes_done_work_ready_again_for_what_it_lacks(database: Database) -> None:
    with database.write() as session:
        row = ledger.enter(session, work(1), "n", NOW)
        claim = ledger.claim(session, "w", "n", 60)
        assert claim is not None
        ledger.finish(session, row, "done", "", "n")
        again = ledger.enter(session, work(1, generation=2), "n", NOW)
        assert (again.id, again.state, again.generation) == (row.id, "ready", 2)


def test_work_past_its_deadline_expires_unstarted(database: Database) -> None:
    with database.write() as session:
        late = Work(SERIES, 1, Recipe("p", "1"), 1, deadline_at=NOW)
        row = ledger.enter(session, late, "n", NOW)
        assert ledger.anything_to_reap(session)
        ledger.reap(session, RETRY, "n")
        assert row.state == "expired"
        assert "originals only" in row.reason


def test_a_paused_worker_can_neither_renew_nor_commit(database: Database) -> None:
    with database.write() as session:
        ledger.enter(session, work(1), "n", NOW)
        paused = ledger.claim(session, "a", "n", 60)
        assert paused is not None
        session.execute(text("UPDATE enhancement SET lease_until = '2020-01-01 00:00:00'"))
        assert ledger.reap(session, RETRY, "n") == ["a"]
        session.execute(update(Enhancement).values(not_before=NOW - timedelta(days=1)))
        session.expire_all()
        taken = ledger.claim(session, "b", "n", 60)
        assert taken is not None
        assert taken.attempt == paused.attempt + 1
        assert not ledger.renew(session, paused, 60, "inferred")
        assert ledger.renew(session, taken, 60, "inferred")
        with pytest.raises(StaleAttempt):
            ledger.fenced(session, paused)


def test_every_arrow_of_the_machine_is_explained() -> None:
    assert all(arrow.why for arrow in ENHANCEMENT.arrows)
    assert ENHANCEMENT.final() == {"outdated"}
