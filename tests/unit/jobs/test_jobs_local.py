"""A node keeps its workers running, whatever becomes of them and of the machine."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dicomnode.jobs import local
from dicomnode.jobs.local import LocalWorkers

READS_ON = ["-I", "-S", "-c", "import sys; sys.stdin.read()"]
"""Ends when the node does."""
REAL_TIME = signal.SIGRTMIN + 1
"""A signal without a name."""


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def deaths() -> list[str]:
    return []


@pytest.fixture
def workers(deaths: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalWorkers]:
    """One, not started yet."""
    monkeypatch.setattr(local, "RESTART_FIRST", 0.01)

    def record(worker: str, reason: str) -> int:
        deaths.append(reason)
        return 0

    workers = LocalWorkers("n", ["cpu"], READS_ON, record)
    yield workers
    workers.stop(0)


def test_what_the_machine_will_not_start_is_tried_again_and_logged_once(
    workers: LocalWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interpreter is not there for a while; a fork that fails for want of memory is an OSError as well."""
    interpreter = tmp_path / "python"
    interpreter.symlink_to(tmp_path / "later")
    monkeypatch.setattr(sys, "executable", str(interpreter))
    real = Path(sys.base_prefix) / "bin/python3"
    with capture_logs() as said:
        workers.start()
        wait_for(lambda: bool(said))
        time.sleep(0.3)  # two looks
        assert workers.alive() == 0
        (tmp_path / "later").symlink_to(real)
        wait_for(lambda: len(said) == 2)
    assert workers.alive() == 1
    assert [entry["event"] for entry in said] == ["worker cannot be started", "worker was started at last"]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGKILL, "SIGKILL"), (REAL_TIME, f"signal {REAL_TIME}")])
def test_one_that_is_killed_is_started_anew(workers: LocalWorkers, deaths: list[str], number: int, name: str) -> None:
    workers.start()
    wait_for(lambda: workers.alive() == 1)
    (first,) = (slot.process for slot in workers._slots)
    assert first is not None
    first.send_signal(number)
    wait_for(lambda: bool(deaths) and workers.alive() == 1)
    assert deaths == [f"the worker was killed by {name}"]
