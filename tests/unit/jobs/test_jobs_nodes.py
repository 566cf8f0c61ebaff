"""The ledger on several nodes: lapsed leases are reaped by any, a node's own by itself first; names do not mix."""

import pytest
from sqlalchemy import update
from support.ledger import NOW, RETRY, with_series, work

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.jobs import ledger
from dicomnode.jobs.work import enter

GRACE = 600.0
"""Longer than any machine stands still."""


@pytest.fixture
def ledger_database(database: Database) -> Database:
    return with_series(database)


def claimed(database: Database, *workers: str) -> None:
    """Each worker has a job in hand."""
    for number, worker in enumerate(workers):
        with database.write() as session:
            enter(session, work(number), "n", NOW)
        with database.write() as session:
            assert ledger.claim(session, worker, worker.partition("/")[0], 60) is not None


def lapse(database: Database, seconds: float) -> None:
    """All leases ran out so long ago."""
    with database.write() as session:
        session.execute(update(Enhancement).values(lease_until=Clock(-seconds)))


def running(database: Database) -> list[str]:
    with database.read() as session:
        return sorted(row.worker for row in enhancements.listing(session, 10) if row.state == "running")


def test_a_nodes_own_leases_are_reaped_at_once_and_others_a_moment_later(ledger_database: Database) -> None:
    claimed(ledger_database, "a/cpu/0", "b/cpu/0", "a-b/cpu/0")
    lapse(ledger_database, GRACE / 4)
    with ledger_database.write() as session:
        assert ledger.anything_to_reap(session, "a", GRACE)
        assert not ledger.anything_to_reap(session, "c", GRACE)
        assert ledger.reap(session, RETRY, "a", GRACE) == ["a/cpu/0"]
        assert not ledger.anything_to_reap(session, "a", GRACE)
    lapse(ledger_database, GRACE * 2)
    with ledger_database.write() as session:
        assert ledger.anything_to_reap(session, "c", GRACE)
        assert sorted(ledger.reap(session, RETRY, "c", GRACE)) == ["a-b/cpu/0", "b/cpu/0"]


@pytest.mark.parametrize("restarted", ["a", "a-b", "b", "A", "a_b"])
def test_a_restart_fails_the_work_of_that_node_alone(ledger_database: Database, restarted: str) -> None:
    claimed(ledger_database, "a/cpu/0", "a-b/cpu/0", "a-b-c/cpu/0")
    with ledger_database.write() as session:
        ledger.node_restarted(session, f"{restarted}/", RETRY, restarted)
    everybody = {"a", "a-b", "a-b-c"}
    # SQLite, which takes one node, does not tell a capital from a small letter
    gone = {restarted.lower()} if ledger_database.is_sqlite else {restarted}
    assert running(ledger_database) == sorted(f"{name}/cpu/0" for name in everybody - gone)


def test_a_lease_that_stands_is_reaped_by_nobody(ledger_database: Database) -> None:
    claimed(ledger_database, "a/cpu/0")
    with ledger_database.write() as session:
        session.execute(update(Enhancement).values(lease_until=Clock(GRACE)))
        assert ledger.reap(session, RETRY, "b", GRACE) == ledger.reap(session, RETRY, "a", GRACE) == []
