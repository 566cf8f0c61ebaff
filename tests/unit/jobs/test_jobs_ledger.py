"""The ledger's promises one by one, on both databases; `test_jobs_ledger_model` holds it against a model."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session
from support.ledger import NOW, RETRY, SERIES, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import Claim, RetryPolicy, StaleAttempt
from dicomnode.jobs.work import Work, enter

ONE_ATTEMPT = RetryPolicy(max_attempts=1, retry_seconds=0)


@pytest.fixture
def ledger_database(database: Database) -> Database:
    return with_series(database)


def test_equal_work_is_one_row_and_a_volume_is_new_work_each_generation(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        first = enter(session, work(1), "n", NOW)
        assert enter(session, work(1), "n", NOW).id == first.id
        assert enter(session, work(2), "n", NOW).id != first.id
        volume = enter(session, work(1, volume=True), "n", NOW)
        assert enter(session, work(1, generation=2, volume=True), "n", NOW).id != volume.id


def test_urgent_work_goes_first(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        for number, priority in enumerate((2, 1, 0, 1)):
            enter(session, work(number, priority=priority), "n", NOW)
    order = []
    for _ in range(4):
        with ledger_database.write() as session:
            claim = ledger.claim(session, "w", "n", 60)
            assert claim is not None
            row = enhancements.find(session, claim.enhancement_id)
            assert row is not None
            order.append(row.params["n"])
    assert order == [2, 1, 3, 0]


def test_a_late_instance_makes_done_work_ready_again_for_what_it_lacks(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        row = enter(session, work(1), "n", NOW)
        claim = ledger.claim(session, "w", "n", 60)
        assert claim is not None
        ledger.finish(session, ledger.fenced(session, claim), "done", "", "n")
        again = enter(session, work(1, generation=2), "n", NOW)
        assert (again.id, again.state, again.generation) == (row.id, "ready", 2)


def test_work_past_its_deadline_expires_unstarted(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        late = Work(SERIES, 1, Recipe("p", "1"), 1, deadline_at=NOW)
        row = enter(session, late, "n", NOW)
        assert ledger.anything_to_reap(session)
        ledger.reap(session, RETRY, "n")
        assert row.state == "expired"
        assert "originals only" in row.reason


def test_a_paused_worker_can_neither_renew_nor_commit(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        enter(session, work(1), "n", NOW)
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


def finish_one_and_take_the_next(database: Database) -> Claim:
    """The claim that a worker "n/cpu/0" took with the end of its job before."""
    with database.write() as session:
        held = ledger.claim(session, "n/cpu/0", "n", 60)
        assert held is not None
        row, at = ledger.fenced_at(session, held)
        taken = ledger.finish_and_claim(session, row, "done", "", "n", at=at, worker="n/cpu/0", lease_seconds=60)
    assert taken is not None
    return taken


def test_who_dies_between_two_jobs_costs_the_next_none_of_its_attempts(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        for number in range(2):
            enter(session, work(number), "n", NOW)
    taken = finish_one_and_take_the_next(ledger_database)
    with ledger_database.write() as session:
        assert ledger.worker_died(session, "n/cpu/0", "killed", RETRY, "n") == 0
        row = enhancements.locked(session, taken.enhancement_id)
        assert (row.state, row.failures, row.reason) == ("ready", 0, "n/cpu/0 had not begun it: killed")


def test_what_kills_its_worker_at_once_does_not_go_round_for_ever(ledger_database: Database) -> None:
    """The ledger hears of a job within moments; until then one that kills looks like one that never began."""
    with ledger_database.write() as session:
        deadly = enter(session, work(99, priority=2), "n", NOW).id
    deaths = 0
    with ledger_database.read() as session:
        state = enhancements.find(session, deadly)
    while state is not None and state.state == "ready":
        with ledger_database.write() as session:
            enter(session, work(deaths), "n", NOW)
        assert finish_one_and_take_the_next(ledger_database).enhancement_id == deadly
        with ledger_database.write() as session:
            ledger.worker_died(session, "n/cpu/0", "killed", RETRY, "n")
        deaths += 1
        with ledger_database.read() as session:
            state = enhancements.find(session, deadly)
    assert state is not None
    assert (state.state, deaths) == ("failed", 2 * RETRY.max_attempts)


def reported(session: Session, held: Claim) -> None:
    ledger.attempt_failed(session, held, "broken", ONE_ATTEMPT, "n")


def died(session: Session, held: Claim) -> None:
    ledger.worker_died(session, held.worker, "killed", ONE_ATTEMPT, "n")


def restarted(session: Session, held: Claim) -> None:
    ledger.node_restarted(session, "n/", ONE_ATTEMPT, "n")


def lapsed(session: Session, held: Claim) -> None:
    session.execute(update(Enhancement).values(lease_until=NOW))
    ledger.reap(session, ONE_ATTEMPT, "n")


@pytest.mark.parametrize("fails", [reported, died, restarted, lapsed])
def test_an_attempt_that_fails_does_not_count_against_a_generation_that_came_meanwhile(
    ledger_database: Database, fails: Callable[[Session, Claim], None]
) -> None:
    """Who reaps it has only the row to tell by."""
    with ledger_database.write() as session:
        enter(session, work(1), "n", NOW)
        held = ledger.claim(session, "n/cpu/0", "n", 60)
        assert held is not None
        row = enter(session, work(1, generation=2), "n", NOW)
        session.flush()
        fails(session, held)
        assert (row.state, row.failures) == ("ready", 0)
        session.flush()
        again = ledger.claim(session, "n/cpu/0", "n", 60)
        assert again is not None
        assert again.generation == 2
        fails(session, again)
        assert (row.state, row.failures) == ("failed", 1)


def test_a_new_generation_that_comes_between_two_attempts_has_all_of_its_own(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        enter(session, work(1), "n", NOW)
        held = ledger.claim(session, "n/cpu/0", "n", 60)
        assert held is not None
        ledger.attempt_failed(session, held, "broken", RETRY, "n")
        row = enter(session, work(1, generation=2), "n", NOW)
        assert (row.state, row.failures) == ("ready", 0)


def test_every_arrow_of_the_machine_is_explained() -> None:
    assert all(arrow.why for arrow in ENHANCEMENT.arrows)
    assert ENHANCEMENT.final() == {"outdated"}
