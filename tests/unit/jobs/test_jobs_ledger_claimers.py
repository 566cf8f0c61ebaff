"""Many claimers, reapers and operators at once: nothing is claimed twice, nothing is done twice, nothing is left."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import func, select, update
from support.databases import UNHURRIED
from support.ledger import NOW, RETRY, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, RetryPolicy, StaleAttempt
from dicomnode.jobs.operators import operator_moves
from dicomnode.jobs.work import enter

PATIENT = RetryPolicy(max_attempts=1000, retry_seconds=0)


def fill(database: Database, count: int) -> None:
    with with_series(database).write() as session:
        for number in range(count):
            enter(session, work(number, priority=number % 4), "a", NOW)


def together(count: int, act: Callable[[int], None]) -> None:
    """Run `act(number)` in so many threads; what any of them raises is raised here."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            act(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def claim(database: Database, worker: str) -> Claim | None:
    with database.write() as session:
        return ledger.claim(session, worker, "a", 60)


def test_no_piece_of_work_is_claimed_twice(database: Database) -> None:
    fill(database, 60)
    claims: list[Claim] = []

    def act(number: int) -> None:
        while (held := claim(database, f"a/cpu/{number}")) is not None:
            claims.append(held)

    together(6, act)
    assert Counter(held.enhancement_id for held in claims).most_common(1)[0][1] == 1
    assert len(claims) == 60
    assert {held.attempt for held in claims} == {1}


def test_work_is_done_once_while_leases_run_out_and_several_nodes_reap(database: Database) -> None:
    fill(database, 40)
    done: list[int] = []
    stale: list[Claim] = []
    over = threading.Event()

    def work_on(worker: str, draw: random.Random) -> None:
        while not over.is_set():
            held = claim(database, worker)
            if held is None:
                over.wait(0.01)
                continue
            if draw.random() < 0.3:  # it was paused past its lease: what it does after that must not count
                with database.write() as session:
                    late = update(Enhancement).where(Enhancement.id == held.enhancement_id)
                    session.execute(late.where(Enhancement.attempt == held.attempt).values(lease_until=NOW))
                over.wait(draw.random() * 0.02)
            try:
                with database.write() as session:
                    ledger.finish(session, ledger.fenced(session, held), "done", "", "a")
            except StaleAttempt:
                stale.append(held)
            else:
                done.append(held.enhancement_id)

    def reap(node: str) -> None:
        while not over.is_set():
            with database.write() as session:
                ledger.reap(session, PATIENT, node)
            with database.read() as session:
                if enhancements.counts_by_state(session) == {"done": 40}:
                    over.set()
            over.wait(0.005)

    def act(number: int) -> None:
        try:
            reap(f"n{number}") if number < 2 else work_on(f"a/cpu/{number}", random.Random(number))
        except BaseException:
            over.set()
            raise

    together(7, act)
    assert sorted(Counter(done).values()) == [1] * 40
    with database.read() as session:
        kinds = dict(session.execute(select(AuditEvent.kind, func.count()).group_by(AuditEvent.kind)).all())
        failures = session.scalar(select(func.sum(Enhancement.attempt))) or 0
    assert kinds["enhancement.done"] == 40
    assert kinds["enhancement.claimed"] == failures == 40 + len(stale)
    assert kinds.get("enhancement.attempt_failed", 0) == len(stale)


def test_two_nodes_that_reap_at_once_count_one_failure(database: Database) -> None:
    fill(database, 20)
    for _ in range(20):
        assert claim(database, "b/cpu/0") is not None
    with database.write() as session:
        session.execute(update(Enhancement).values(lease_until=NOW))

    def act(number: int) -> None:
        with database.write() as session:
            ledger.reap(session, RETRY, f"n{number}")

    together(4, act)
    with database.read() as session:
        rows = session.execute(select(Enhancement.state, Enhancement.failures).distinct()).all()
        failed = AuditEvent.kind == "enhancement.attempt_failed"
        events = session.scalar(select(func.count()).where(failed))
    assert rows == [("ready", 1)]
    assert events == 20


def test_equal_work_entered_at_once_is_one_row(database: Database) -> None:
    fill(database, 0)
    ids: list[int] = []

    def act(number: int) -> None:
        with database.write() as session:
            ids.append(enter(session, work(7), f"n{number}", NOW).id)

    together(4, act)
    assert len(set(ids)) == 1


def test_of_a_cancel_and_a_commit_at_once_one_counts(database: Database) -> None:
    fill(database, 12)
    held = [claim(database, "a/cpu/0") for _ in range(12)]
    outcomes: Counter[str] = Counter()

    def act(number: int) -> None:
        for each in held:
            assert each is not None
            try:
                with database.write() as session:
                    if number:
                        row = enhancements.find(session, each.enhancement_id)
                        assert row is not None
                        operator_moves(session, row, "cancelled", "op", "a", NOW)
                    else:
                        ledger.finish(session, ledger.fenced(session, each), "done", "", "a")
            except (StaleAttempt, ValueError):
                continue
            outcomes["cancelled" if number else "done"] += 1

    together(2, act)
    assert outcomes.total() == 12
    with database.read() as session:
        assert enhancements.counts_by_state(session) == dict(outcomes)


@pytest.mark.postgres
def test_a_claimer_does_not_wait_for_another_one_s_transaction(database_on_postgresql: Database) -> None:
    fill(database_on_postgresql, 2)
    with database_on_postgresql.write() as session:
        first = ledger.claim(session, "a", "a", 60)
        second = claim(database_on_postgresql, "b")
        third = claim(database_on_postgresql, "c")
    assert first is not None
    assert second is not None
    assert first.enhancement_id != second.enhancement_id
    assert third is None


@pytest.fixture
def database_on_postgresql(request: pytest.FixtureRequest) -> Iterator[Database]:
    with request.getfixturevalue("postgresql").fresh() as url:
        database = Database(url, UNHURRIED)
        yield database
        database.close()
