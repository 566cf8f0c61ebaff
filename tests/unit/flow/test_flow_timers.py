"""A clock that is set back by a day: whatever waited goes on soon, and what waits rightly is left alone."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from support.flowbench import FlowBench
from support.retaining import FORWARD, PASSTHROUGH
from support.series import make_ct_series

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent, Delivery, Enhancement, NodeRow, Outage, Series
from dicomnode.db.repositories import nodes
from dicomnode.db.repositories.timers import TIMERS
from dicomnode.flow.upkeep.timers import _bounds, mend_timers

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

DAY = timedelta(days=1)


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """A job and a delivery that wait, an outage, a node that gave a sign of life, a series that comes in."""
    bench = FlowBench(tmp_path / "node", FORWARD + PASSTHROUGH)
    bench.receive_files(make_ct_series(tmp_path / "ct", 2, rows=32))
    bench.complete()
    bench.receive_files(make_ct_series(tmp_path / "next", 2, rows=32, series_number=3))
    with bench.flow.database.write() as session:
        now = database_now(session)
        nodes.add(session, "n")
        nodes.enter(session, "n", "boot", "1", "store")
        session.add(Outage(destination="pacs", kind="network", reason="", since=now, attempts=1, next_at=now))
    return bench


def set_back(bench: FlowBench, by: timedelta) -> None:
    """The clock, seen from the rows: all their times lie later."""
    with bench.flow.database.write() as session:
        for timer in TIMERS:
            for row in session.scalars(select(timer.column.class_).where(timer.column.is_not(None))):
                setattr(row, timer.column.key, getattr(row, timer.column.key) + by)


def mended(bench: FlowBench) -> list[AuditEvent]:
    """Its events, after a turn."""
    assert mend_timers(bench.flow) is False
    with bench.flow.database.read() as session:
        return list(session.scalars(select(AuditEvent).where(AuditEvent.kind == "node.clock")))


def test_whatever_waits_goes_on(bench: FlowBench) -> None:
    set_back(bench, DAY)
    assert bench.work() == 0
    (event,) = mended(bench)
    assert event.detail == {"completion": 2, "retry": 1, "delivery": 2, "outage": 1, "sign of life": 1}
    bounds = _bounds(bench.flow)
    with bench.flow.database.read() as session:
        now = database_now(session)
        for timer in TIMERS:
            for value in session.scalars(select(timer.column).where(timer.waits, timer.column.is_not(None))):
                assert value <= now + timedelta(seconds=bounds[timer.name])
    assert len(mended(bench)) == 1, "once is enough"


def test_what_waits_rightly_is_left_alone(bench: FlowBench) -> None:
    assert mended(bench) == []
    set_back(bench, timedelta(seconds=20))
    assert mended(bench) == [], "clocks of several nodes may differ a little"
    set_back(bench, -DAY)
    assert mended(bench) == [], "what is late is due"


def test_a_dead_nodes_lease_runs_out(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        later = database_now(session) + DAY
        session.execute(update(Enhancement).values(state="running", worker="gone/cpu/0", lease_until=later))
        session.execute(update(Delivery).values(state="sending", node="gone", lease_until=later))
    (event,) = mended(bench)
    assert event.detail == {"lease": 1, "delivery lease": 2}
    lease = bench.flow.settings.engine.lease_seconds
    with bench.flow.database.read() as session:
        now = database_now(session)
        assert session.scalars(select(Enhancement.lease_until)).one() <= now + timedelta(seconds=lease)


def test_a_quiet_time_is_waited_for_once_more(bench: FlowBench) -> None:
    set_back(bench, DAY)
    mended(bench)
    quiet = bench.flow.settings.completion.quiet_seconds
    with bench.flow.database.read() as session:
        now = database_now(session)
        for due_at in session.scalars(select(Series.due_at).where(Series.state == "receiving")):
            assert due_at is not None
            assert now < due_at <= now + timedelta(seconds=quiet)
        assert session.scalars(select(NodeRow.seen_at)).one() <= now
