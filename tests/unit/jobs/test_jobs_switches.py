"""What operators stop, pause and put off: what is claimed meanwhile, and what becomes of what runs."""

import threading
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select
from support.ledger import NOW, RETRY, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Enhancement, Hold
from dicomnode.db.repositories import enhancements, holds
from dicomnode.domain.off_peak import OffPeak, Window
from dicomnode.domain.priority import PRIORITIES
from dicomnode.jobs import ledger, switches
from dicomnode.jobs.ledger import Claim, EnhancingStopped
from dicomnode.jobs.operators import operator_moves
from dicomnode.jobs.waiting import waits_for
from dicomnode.jobs.work import enter
from dicomnode.jobs.worker import Held, Worker, WorkerLimits

LIMITS = WorkerLimits(60, 600, RETRY)


@pytest.fixture
def ledger_database(database: Database) -> Database:
    return with_series(database)


def fill(database: Database, *priorities: int, **more: datetime) -> None:
    with database.write() as session:
        for number, priority in enumerate(priorities):
            enter(session, work(number, priority=priority, **more), "n", NOW)


def claim(database: Database, **more: int) -> Claim | None:
    with database.write() as session:
        found = ledger.anything_to_claim(session, **more)
        claimed = ledger.claim(session, "w", "n", 60, **more)
        assert found == (claimed is not None)
        return claimed


def only(database: Database) -> Enhancement:
    with database.read() as session:
        (row,) = enhancements.listing(session, 2)
        return row


def kinds(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(AuditEvent.kind).order_by(AuditEvent.id)))


def stop(database: Database, reason: str = "") -> bool:
    with database.write() as session:
        return switches.stop_enhancing(session, "anna", reason, "n")


def start(database: Database) -> bool:
    with database.write() as session:
        return switches.start_enhancing(session, "anna", "n")


def test_while_jobs_are_paused_none_is_claimed_and_what_runs_is_finished(ledger_database: Database) -> None:
    fill(ledger_database, 1, 1)
    running = claim(ledger_database)
    assert running is not None
    with ledger_database.write() as session:
        assert switches.pause(session, "", "anna", "service", "n")
        assert not switches.pause(session, "", "bert", "", "n")
    assert claim(ledger_database) is None
    with ledger_database.write() as session:
        ledger.finish(session, ledger.fenced(session, running), "done", "", "n")
        assert switches.resume(session, "", "anna", "n")
        assert not switches.resume(session, "", "anna", "n")
    assert claim(ledger_database) is not None
    assert kinds(ledger_database).count("jobs.paused") == kinds(ledger_database).count("jobs.resumed") == 1


def test_a_paused_pipeline_is_passed_over(ledger_database: Database) -> None:
    fill(ledger_database, 1)
    with ledger_database.write() as session:
        switches.pause(session, "p", "anna", "", "n")
    assert claim(ledger_database) is None
    with ledger_database.write() as session:
        switches.pause(session, "another", "anna", "", "n")
        switches.resume(session, "p", "anna", "n")
    assert claim(ledger_database) is not None


def test_while_enhancing_is_stopped_nothing_is_claimed_and_nothing_committed(ledger_database: Database) -> None:
    fill(ledger_database, 0, 1)
    running = claim(ledger_database)
    assert running is not None
    assert stop(ledger_database, "ghosts in the liver")
    assert not stop(ledger_database)
    assert claim(ledger_database) is None
    with pytest.raises(EnhancingStopped), ledger_database.write() as session:
        ledger.fenced(session, running)
    with ledger_database.read() as session:
        why = ledger.interruption(session, running)
    assert str(why) == "anna stopped enhancing: ghosts in the liver"
    with ledger_database.write() as session:
        ledger.give_back(session, running, str(why), "n")
    assert start(ledger_database)
    assert not start(ledger_database)
    again = claim(ledger_database)
    assert again is not None
    assert (again.enhancement_id, again.attempt) == (running.enhancement_id, running.attempt + 1)
    with ledger_database.write() as session:
        ledger.finish(session, ledger.fenced(session, again), "done", "", "n")


def test_deadlines_count_while_enhancing_is_stopped(ledger_database: Database) -> None:
    fill(ledger_database, 1, deadline_at=NOW)
    stop(ledger_database)
    with ledger_database.write() as session:
        assert ledger.anything_to_reap(session)
        ledger.reap(session, RETRY, "n")
    assert only(ledger_database).state == "expired"


def test_a_worker_gives_its_job_back_soon_after_the_stop_which_is_no_failure(ledger_database: Database) -> None:
    fill(ledger_database, 1)
    begun = threading.Event()

    def run(held: Held) -> None:
        begun.set()
        for _ in range(3000):
            held.check()
            threading.Event().wait(0.02)

    worker = Worker("w", "n", ledger_database, run, LIMITS)
    thread = threading.Thread(target=worker.run_one)
    thread.start()
    assert begun.wait(60)
    stop(ledger_database, "ghosts")
    thread.join(60)
    assert not thread.is_alive()
    row = only(ledger_database)
    assert (row.state, row.failures, row.worker) == ("ready", 0, "")
    assert row.reason == "anna stopped enhancing: ghosts"
    assert kinds(ledger_database)[-1] == "enhancement.given_back"


def test_a_commit_after_the_stop_does_not_pass_and_the_job_is_given_back(ledger_database: Database) -> None:
    """Also where the worker had no time to hear of it."""
    fill(ledger_database, 1)

    def run(held: Held) -> None:
        stop(ledger_database)
        with ledger_database.write() as session:
            held.finish(session, held.fenced(session), "done", "")

    assert Worker("w", "n", ledger_database, run, LIMITS).run_one()
    row = only(ledger_database)
    assert (row.state, row.failures) == ("ready", 0)
    assert "enhancement.done" not in kinds(ledger_database)


def test_a_cancelled_job_is_let_go_of_in_its_middle(ledger_database: Database) -> None:
    fill(ledger_database, 1)
    let_go = threading.Event()

    def run(held: Held) -> None:
        with ledger_database.write() as session:
            row = enhancements.find(session, held.claim.enhancement_id)
            assert row is not None
            operator_moves(session, row, "cancelled", "anna", "n", NOW)
        for _ in range(3000):
            if held.is_interrupted:
                let_go.set()
            held.check()
            threading.Event().wait(0.02)

    assert Worker("w", "n", ledger_database, run, LIMITS).run_one()
    assert let_go.is_set()
    assert only(ledger_database).state == "cancelled"


def test_off_peak_work_waits_for_its_hours_and_holds_nothing_up(ledger_database: Database) -> None:
    fill(ledger_database, PRIORITIES["off-peak"], PRIORITIES["normal"], 3)
    shut = PRIORITIES["off-peak"]
    first, second = claim(ledger_database, shut=shut), claim(ledger_database, shut=shut)
    assert first is not None
    assert second is not None
    assert claim(ledger_database, shut=shut) is None
    assert claim(ledger_database) is not None


def test_a_worker_looks_at_the_clock_at_each_claim(ledger_database: Database) -> None:
    fill(ledger_database, PRIORITIES["off-peak"])
    now = datetime.now(UTC)
    later, earlier = ((now + timedelta(hours=hours)).time() for hours in (2, -2))
    for window, works in ((Window(later, earlier), False), (Window(earlier, later), True)):
        limits = WorkerLimits(60, 600, RETRY, OffPeak.of(str(window), "UTC"))
        assert Worker("w", "n", ledger_database, lambda held: None, limits).run_one() == works


@pytest.mark.parametrize(
    ("held", "hour", "pause", "words"),
    [
        ([], 20, 0, "a worker"),
        ([], 12, 0, "the off-peak hours 19:00-06:00 UTC"),
        ([], 20, 60, "its next attempt at "),
        ([(holds.JOBS, "")], 20, 0, "every job is paused by anna since "),
        ([(holds.JOBS, "p")], 20, 0, "p is paused by anna since "),
        ([(holds.JOBS, "q"), (holds.DESTINATION, "")], 20, 0, "a worker"),
        ([(holds.ENHANCING, "")], 20, 0, "enhancing is stopped by anna since "),
    ],
)
def test_a_job_says_what_it_waits_for(held: list[tuple[str, str]], hour: int, pause: int, words: str) -> None:
    now = datetime(2026, 5, 1, hour, tzinfo=UTC)
    row = Enhancement(state="ready", pipeline="p", priority=2, not_before=now + timedelta(seconds=pause))
    rows = [Hold(kind=kind, name=name, by="anna", reason="", since=now) for kind, name in held]
    hours = OffPeak(Window(time(19), time(6)), OffPeak.of("", "UTC").zone)
    assert waits_for(row, rows, hours, now).startswith(words)
    row.state = "done"
    assert waits_for(row, rows, hours, now) == ""


def test_the_job_that_the_commit_of_another_took_is_done_next(ledger_database: Database) -> None:
    fill(ledger_database, 1, 1, 1)

    def run(held: Held) -> None:
        with ledger_database.write() as session:
            held.finish(session, held.fenced(session), "done", "")

    worker = Worker("w", "n", ledger_database, run, LIMITS)
    assert worker.run_one()
    with ledger_database.read() as session:
        assert enhancements.counts_by_state(session) == {"done": 1, "running": 1, "ready": 1}
    assert [worker.run_one() for _ in range(3)] == [True, True, False]


def test_what_was_taken_by_a_commit_that_failed_is_not_worked_on(ledger_database: Database) -> None:
    fill(ledger_database, 0, 1)
    commits = iter([False, True])

    def run(held: Held) -> None:
        with ledger_database.write() as session:
            held.finish(session, held.fenced(session), "done", "")
            if not next(commits):
                raise OSError("the disk has an opinion")
        raise OSError("the disk has an opinion after the commit")

    worker = Worker("w", "n", ledger_database, run, LIMITS)
    assert worker.run_one()
    with ledger_database.read() as session:
        assert enhancements.counts_by_state(session) == {"ready": 2}
    assert worker.run_one()
    with ledger_database.read() as session:
        assert enhancements.counts_by_state(session) == {"done": 1, "ready": 1}


def test_a_worker_that_is_told_to_stop_gives_back_what_it_took_for_next(ledger_database: Database) -> None:
    fill(ledger_database, 1, 1)

    def run(held: Held) -> None:
        with ledger_database.write() as session:
            held.finish(session, held.fenced(session), "done", "")
        worker.stop()

    worker = Worker("w", "n", ledger_database, run, LIMITS)
    worker.run()
    with ledger_database.read() as session:
        assert enhancements.counts_by_state(session) == {"done": 1, "ready": 1}
