"""The ledger's promises one by one, on both databases; `test_jobs_ledger_model` holds it against a model."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update
from support.ledger import NOW, RETRY, SERIES, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.domain.recipe import Recipe
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import StaleAttempt, Work


@pytest.fixture
def ledger_database(database: Database) -> Database:
    return with_series(database)


def test_equal_work_is_one_row_and_a_volume_is_new_work_each_generation(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        first = ledger.enter(session, work(1), "n", NOW)
        assert ledger.enter(session, work(1), "n", NOW).id == first.id
        assert ledger.enter(session, work(2), "n", NOW).id != first.id
        volume = ledger.enter(session, work(1, volume=True), "n", NOW)
        assert ledger.enter(session, work(1, generation=2, volume=True), "n", NOW).id != volume.id


def test_urgent_work_goes_first(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        for number, priority in enumerate((2, 1, 0, 1)):
            ledger.enter(session, work(number, priority=priority), "n", NOW)
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
        row = ledger.enter(session, work(1), "n", NOW)
        claim = ledger.claim(session, "w", "n", 60)
        assert claim is not None
        ledger.finish(session, ledger.fenced(session, claim), "done", "", "n")
        again = ledger.enter(session, work(1, generation=2), "n", NOW)
        assert (again.id, again.state, again.generation) == (row.id, "ready", 2)


def test_work_past_its_deadline_expires_unstarted(ledger_database: Database) -> None:
    with ledger_database.write() as session:
        late = Work(SERIES, 1, Recipe("p", "1"), 1, deadline_at=NOW)
        row = ledger.enter(session, late, "n", NOW)
        assert ledger.anything_to_reap(session)
        ledger.reap(session, RETRY, "n")
        assert row.state == "expired"
        assert "originals only" in row.reason


def test_a_paused_worker_can_neither_renew_nor_commit(ledger_database: Database) -> None:
    with ledger_database.write() as session:
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
