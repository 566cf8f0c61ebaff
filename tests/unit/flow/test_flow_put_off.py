"""A series that cannot be completed: the others are, and it is put off and told of once."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent, Instance
from dicomnode.desk.live import Live
from dicomnode.desk.troubles.machine import of_machine
from dicomnode.flow import complete_due
from dicomnode.flow.completing import put_off
from dicomnode.flow.completing.put_off import PutOff

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    bench = FlowBench(tmp_path / "node")
    for seed in (1, 2):
        bench.receive_files(make_ct_series(tmp_path / f"ct{seed}", 1, rows=8, seed=seed))
    return bench


@pytest.fixture
def broken(bench: FlowBench) -> str:
    """The series that has been due for longest: its container is not there."""
    uid = bench.series()[0].uid
    move(bench, uid, "gone/")
    return uid


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds, of the clock that says how long a series is put off."""
    now = [0.0]
    monkeypatch.setattr(put_off, "monotonic", lambda: now[0])
    return now


def move(bench: FlowBench, uid: str, folder: str, back: bool = False) -> None:
    with bench.flow.database.write() as session:
        for row in session.scalars(select(Instance).where(Instance.series_uid == uid)):
            row.container = row.container.removeprefix(folder) if back else folder + row.container


def told(bench: FlowBench) -> list[AuditEvent]:
    with bench.flow.database.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == "series.put_off")))


def states(bench: FlowBench) -> dict[str, str]:
    return {row.uid: row.state for row in bench.series()}


def sweep(bench: FlowBench) -> int:
    """As the node does, without making anything due anew."""
    return complete_due(bench.flow)


def test_the_others_complete_and_it_is_told_of_once(bench: FlowBench, broken: str, clock: list[float]) -> None:
    assert bench.complete() == 1
    assert sorted(states(bench).values()) == ["complete", "receiving"]
    assert states(bench)[broken] == "receiving"
    for hours in (0, 1, 2):
        clock[0] = hours * 3600.0
        assert sweep(bench) == 0
    (event,) = told(bench)
    assert (event.series_uid, event.outcome) == (broken, "failure")
    assert event.detail["reason"].startswith("FileNotFoundError at ")
    assert str(bench.root) not in event.message


def test_today_tells_of_it_until_somebody_has_completed_it(bench: FlowBench, broken: str) -> None:
    def told_today() -> list[tuple[str, str]]:
        with bench.flow.database.read() as session:
            found = of_machine(bench.flow, session, Live(listening=True))
            return [(each.severity, each.href) for each in found if each.kind == "put_off"]

    assert told_today() == []
    bench.complete()
    assert told_today() == [("failure", f"/series/{broken}")]
    move(bench, broken, "gone/", back=True)
    another = replace(bench.flow, put_off=PutOff())
    assert complete_due(another) == 1
    assert told_today() == []


def test_it_waits_longer_each_time_and_completes_when_it_can(bench: FlowBench, broken: str, clock: list[float]) -> None:
    bench.complete()
    waits = []
    for _ in range(12):
        (row,) = [each for each in bench.series() if each.uid == broken]
        started = clock[0]
        while bench.flow.put_off.waits(row):
            clock[0] += 1.0
        waits.append(clock[0] - started)
        assert sweep(bench) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    move(bench, broken, "gone/", back=True)
    assert sweep(bench) == 0
    clock[0] += 300
    assert sweep(bench) == 1
    assert set(states(bench).values()) == {"complete"}


def test_what_changes_it_has_it_tried_at_once(bench: FlowBench, broken: str, clock: list[float]) -> None:
    bench.complete()
    move(bench, broken, "gone/", back=True)
    assert sweep(bench) == 0
    assert bench.complete() == 1, "somebody asked for it: it is due at another time"


def test_a_database_that_cannot_be_used_is_no_matter_of_the_series(bench: FlowBench) -> None:
    rename(bench, "series_facts", "elsewhere")
    with pytest.raises((OperationalError, ProgrammingError)):
        bench.complete()
    rename(bench, "elsewhere", "series_facts")
    assert sweep(bench) == 2, "at once"
    assert not told(bench)


def rename(bench: FlowBench, table: str, to: str) -> None:
    with bench.flow.database.write() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))
