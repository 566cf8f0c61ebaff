"""A worker between two jobs: whether its code is still that of the node, and what it does where it cannot tell."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from support.ledger import NOW, RETRY, with_series, work

from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement
from dicomnode.jobs.work import enter
from dicomnode.jobs.worker import Held, Worker, WorkerLimits
from dicomnode.store.header import UnreadableHeader

LIMITS = WorkerLimits(60, 600, RETRY)
JOBS = 2


class Bench:
    """Some jobs, and a worker that does them and then stops."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_outdated: Callable[[], bool] = lambda: False
        self.asked_in_transaction: list[bool] = []
        """Of each time that somebody asked whether the code has changed."""
        self.runs: Callable[[], None] = lambda: None
        """What happens in each job, between its last stage and its end."""
        self._is_writing = False
        self.worker = Worker("w", "n", database, self._run, LIMITS, self._outdated, self._rest)
        with database.write() as session:
            for number in range(JOBS):
                enter(session, work(number), "n", NOW)

    def rows(self) -> list[tuple[str, int, str]]:
        with self.database.read() as session:
            rows = session.scalars(select(Enhancement).order_by(Enhancement.id))
            return [(row.state, row.attempt, row.worker) for row in rows]

    def _run(self, held: Held) -> None:
        held.stage("staged")
        self.runs()
        with self.database.write() as session:
            self._is_writing = True
            held.finish(session, held.fenced(session), "done", "")
            self._is_writing = False

    def _outdated(self) -> bool:
        self.asked_in_transaction.append(self._is_writing)
        return self.is_outdated()

    def _rest(self, is_wanted: Callable[[], bool]) -> bool:
        self.worker.stop()
        return False


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(with_series(database))


def fail() -> bool:
    raise FileNotFoundError(2, "No such file or directory", "pipelines")


def test_one_that_cannot_tell_whether_its_code_has_changed_goes_on_and_logs_it_once(bench: Bench) -> None:
    bench.is_outdated = fail
    with capture_logs() as said:
        bench.worker.run()
    assert [state for state, *_ in bench.rows()] == ["done"] * JOBS
    assert [entry["event"] for entry in said] == ["worker cannot tell whether its code has changed"]


def test_it_says_so_anew_once_it_could_tell_meanwhile(bench: Bench) -> None:
    bench.worker.ends()
    with capture_logs() as said:
        for answers in (fail, lambda: False, fail):
            bench.is_outdated = answers
            assert not bench.worker.ends()
    assert len(said) == 2


def test_files_are_never_asked_for_in_the_transaction_of_a_job(bench: Bench) -> None:
    bench.worker.run()
    assert len(bench.asked_in_transaction) > JOBS
    assert not any(bench.asked_in_transaction)


def test_one_whose_code_changed_in_a_job_takes_no_other(bench: Bench) -> None:
    bench.is_outdated = lambda: bool(bench.worker.leases._tenure)
    assert bench.worker.run_one()
    assert bench.rows() == [("done", 1, "w"), ("ready", 0, "")]


def test_one_whose_code_changed_after_the_last_stage_begins_no_other(bench: Bench) -> None:
    """It had taken the next, which it gives back."""

    def change() -> None:
        bench.is_outdated = lambda: True

    bench.runs = change
    bench.worker.run()
    assert bench.rows() == [("done", 1, "w"), ("ready", 1, "")]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("of Doe^Jane"), "ValueError at test_jobs_worker.py:"),
        (OSError(5, "gone"), "OSError: [Errno 5] gone"),
        (UnreadableHeader("it ends in an element"), "UnreadableHeader: it ends in an element"),
    ],
)
def test_what_an_attempt_fails_by_quotes_no_patient(bench: Bench, error: Exception, told: str) -> None:
    def run() -> None:
        raise error

    bench.runs = run
    with capture_logs() as said:
        assert bench.worker.run_one()
    with bench.database.read() as session:
        row = session.get_one(Enhancement, 1)
    assert row.reason.startswith(told)
    assert "in run" in said[0]["frames"], "where it happened"
    assert "Doe" not in f"{said} {row.reason}"
