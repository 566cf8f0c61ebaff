"""The lease of the job in hand: renewed in time, not for ever, and never after the attempt counts no more."""

import time
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import update
from support.ledger import NOW, with_series, work

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.jobs import ledger
from dicomnode.jobs.lease import LeaseKeeper, Tenure
from dicomnode.jobs.ledger import StaleAttempt
from dicomnode.jobs.work import enter

LEASE, LONGEST = 3600.0, 36000.0
MARGIN = 300.0
"""Longer than any machine stands still."""


@pytest.fixture
def tenure(database: Database) -> Tenure:
    with with_series(database).write() as session:
        enter(session, work(1), "n", NOW)
        claim = ledger.claim(session, "w", "n", LEASE)
    assert claim is not None
    return Tenure(claim)


def until(database: Database) -> datetime:
    with database.read() as session:
        (row,) = enhancements.listing(session, 2)
    assert row.lease_until is not None
    return row.lease_until


def look_after(database: Database, tenure: Tenure, seconds: float, since: float) -> bool:
    """Whether the lease was renewed by a look so many seconds after the last renewal, `since` the job's beginning."""
    with database.write() as session:
        session.execute(update(Enhancement).values(lease_until=Clock(LEASE / 2)))
    before = until(database)
    tenure.renewed, tenure.began = tenure.renewed - seconds, tenure.renewed - since
    LeaseKeeper(database, LEASE, LONGEST)._look(tenure)
    return until(database) > before


def test_it_is_renewed_when_a_third_of_it_is_over(database: Database, tenure: Tenure) -> None:
    assert not look_after(database, tenure, LEASE / 3 - MARGIN, LEASE)
    tenure.stage = "inferred"
    assert look_after(database, tenure, LEASE / 3 + MARGIN, LEASE)
    with database.read() as session:
        assert [row.stage for row in enhancements.listing(session, 2)] == ["inferred"]


def test_the_ledger_hears_at_the_first_look_that_work_taken_with_the_end_of_other_work_began(
    database: Database, tenure: Tenure
) -> None:
    following = Tenure(replace(tenure.claim, is_next=True))
    assert look_after(database, following, 1, 1)
    assert not look_after(database, following, 1, 2)


def test_its_thread_tells_the_ledger_without_being_asked(database: Database, tenure: Tenure) -> None:
    with database.write() as session:
        enhancements.locked(session, tenure.claim.enhancement_id).stage = enhancements.NEXT
    keeper = LeaseKeeper(database, LEASE, LONGEST)
    keeper.keep(Tenure(replace(tenure.claim, is_next=True)))
    deadline = time.monotonic() + 60.0
    stage = enhancements.NEXT
    while stage == enhancements.NEXT and time.monotonic() < deadline:
        time.sleep(0.05)
        with database.read() as session:
            stage = enhancements.listing(session, 1)[0].stage
    keeper.let_go()
    assert stage == "claimed"


def test_it_is_not_renewed_beyond_the_longest_that_a_job_may_take(database: Database, tenure: Tenure) -> None:
    assert look_after(database, tenure, LEASE, LONGEST - MARGIN)
    assert not look_after(database, tenure, LEASE, LONGEST + MARGIN)


def test_an_attempt_that_was_cancelled_is_told_and_not_renewed(database: Database, tenure: Tenure) -> None:
    with database.write() as session:
        row = ledger.fenced(session, tenure.claim)
        row.state = "cancelled"
    assert not look_after(database, tenure, LEASE, 30)
    assert isinstance(tenure.interruption, StaleAttempt)
