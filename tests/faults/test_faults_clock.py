"""The clock jumps by a day, forth and back, while series come in, are enhanced and sent: all once, nothing stuck."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from faults.scenario import ask, assert_delivered_once, events, instances, send_patiently, site
from support.mainflow import destination, enhancing
from support.mainflow import site as site_data
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series
from support.wallclock import WallClock

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 6
JUMPS = (timedelta(days=1), timedelta(0), timedelta(days=-1), timedelta(0))
"""Where the clock stands from then on, against the true one: a day ahead, right again, a day behind, right again."""


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


def jumps(count: int) -> Iterator[timedelta]:
    return itertools.islice(itertools.cycle(JUMPS), count)


def done(node: Node, instances: int) -> bool:
    """So many instances are here, and every series of theirs is complete, enhanced and sent. Seen at one moment."""
    query = (
        "SELECT (SELECT count(*) FROM instance JOIN series ON series_uid = series.uid WHERE derived_by_node = 0) = ?"
        " AND NOT EXISTS (SELECT * FROM series WHERE state != 'complete')"
        " AND NOT EXISTS (SELECT * FROM enhancement WHERE state != 'done')"
        " AND NOT EXISTS (SELECT * FROM delivery WHERE finished_at IS NULL)"
    )
    return bool(ask(node, query, instances)[0][0])


def assert_audit_in_order(node: Node) -> None:
    """The chain has every event, in the order in which they were written, whatever the clock said."""
    assert node.cli("audit", "verify")["ok"]
    unsealed = "SELECT id FROM audit_event WHERE id NOT IN (SELECT event_id FROM audit_chain)"
    node.wait_until(lambda: not ask(node, unsealed), 60.0, "every event to be sealed")
    chained = [event for (event,) in ask(node, "SELECT event_id FROM audit_chain ORDER BY seq")]
    assert len(chained) == len(set(chained))
    for first, then in (("series.complete", "enhancement.created"), ("enhancement.done", "delivery.sent")):
        for (uid,) in ask(node, "SELECT uid FROM series WHERE derived_by_node = 0"):
            query = "SELECT min(id) FROM audit_event WHERE kind = ? AND series_uid = ?"
            ((before,), (after,)) = (*ask(node, query, first, uid), *ask(node, query, then, uid))
            assert before < after


@pytest.mark.parametrize("form", forms(24, timeout=2400))
def test_a_clock_that_jumps(
    form: Form, tmp_path: Path, orthanc: Orthanc, clock: WallClock, record_row: RecordRow
) -> None:
    """Each series has half of its instances before the jump and half behind it."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = Node(
            tmp_path / "node",
            site_yaml=site(proxy.port),
            engine={"devices": ["cpu"], "retry_seconds": 0.2},
            env=clock.env,
        )
        with node:
            for number, apart in enumerate(jumps(form["jumps"])):
                files = instances(make_ct_series(tmp_path / f"ct{number}", COUNT, rows=64, seed=number))
                send_patiently(node, files[: COUNT // 2])
                clock.set(apart)
                send_patiently(node, files[COUNT // 2 :])
                sent = (number + 1) * COUNT
                node.wait_until(lambda sent=sent: done(node, sent), 90.0, f"all after {apart}")  # type: ignore[misc]
            assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [COUNT] * form["jumps"])
            mended, told = len(events(node, "node.clock")), len(events(node, "series.complete"))
            assert_audit_in_order(node)
    record_row(
        form,
        node=f"{form['jumps']} series derived and sent once; timers brought back {mended} times; {told} generations; "
        "audit in order",
    )


SLOW = """
import time
from pathlib import Path
from dicomnode.enhance.api import Acceptance, Pipeline

class Slow(Pipeline):
    name, version, units = "slow", "1.0.0", "stored"

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        while not Path("GO").exists():
            time.sleep(0.05)
        time.sleep(2)
        return slices[:, 0]
"""
"""Runs until it has been seen and the clock was set, and on for a while."""


@pytest.mark.parametrize("apart", [timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
def test_a_clock_that_jumps_while_a_job_runs(
    apart: timedelta, tmp_path: Path, orthanc: Orthanc, clock: WallClock
) -> None:
    """Ahead, its lease is over at once and another attempt is made; behind, its lease is as long as ever."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        rule = enhancing("slow")
        node = Node(
            tmp_path / "node",
            site_yaml=site_data([destination("pacs", "ORTHANC", proxy.port)], [rule]),
            engine={"devices": ["cpu"], "retry_seconds": 0.2, "lease_seconds": 4.0, "head_start": False},
            env=clock.env,
        )
        folder = node.root / "pipelines"
        folder.mkdir(parents=True)
        go = tmp_path / "go"
        (folder / "slow.py").write_text(SLOW.replace("GO", str(go)), encoding="utf-8")
        with node:
            send_patiently(node, instances(make_ct_series(tmp_path / "ct", COUNT, rows=64)))
            running = "SELECT count(*) = 1 FROM enhancement WHERE state = 'running'"
            node.wait_until(lambda: ask(node, running)[0][0], 60.0, "the job to run")
            clock.set(apart)
            go.touch()
            node.wait_until(lambda: done(node, COUNT), 90.0, "it to be enhanced and sent")
            assert ask(node, "SELECT count(*) FROM enhancement") == [(1,)]
            assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [COUNT])
            assert_audit_in_order(node)
