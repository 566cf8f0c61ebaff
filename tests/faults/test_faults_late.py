"""Late instances, and kills while a series is waited for: supplemented, never silent, no timer forgotten."""

from datetime import timedelta
from pathlib import Path

import pytest
from faults.scenario import ask, assert_delivered_once, events, excuse, indexed, instances, send_all, site
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series
from support.wallclock import WallClock

pytestmark = [pytest.mark.faults, pytest.mark.peers, pytest.mark.timeout(600)]

QUIET = 600.0
"""Longer than any machine takes to send a few files: it is over when the clock says so."""


class QuietTimes:
    """How many are over: so far is the nodes' clock ahead."""

    def __init__(self, clock: WallClock) -> None:
        self._clock, self._count = clock, 0

    def pass_by(self) -> None:
        self._count += 1
        self._clock.set(timedelta(seconds=self._count * (QUIET + 1)))


def send_and_kill(node: Node, proxy: RecordingProxy, files: list[RawFile], times: QuietTimes) -> None:
    """They are acknowledged; before the quiet time is over the node is dead, and there again."""
    send_all(node, files)
    node.kill9()
    excuse(proxy, [])
    node.start()
    node.wait_until(lambda: {file.sop_uid for file in files} <= indexed(node), 60.0, "the index to have them")
    times.pass_by()


def completed(node: Node, series_uid: str) -> list[tuple[int, int]]:
    """(generation, instances) of each completion."""
    query = "SELECT generation, instance_count FROM series_facts WHERE series_uid = ? ORDER BY generation"
    return [(generation, count) for generation, count in ask(node, query, series_uid)]


def sent(node: Node, series_uid: str) -> int:
    """Derived instances of a series that the PACS took."""
    query = "SELECT count(*) FROM delivery_item JOIN delivery ON delivery.id = delivery_id WHERE series_uid = ?"
    return int(ask(node, f"{query} AND delivery_item.state = 'sent'", series_uid)[0][0])


def one_round(node: Node, proxy: RecordingProxy, files: list[RawFile], times: QuietTimes) -> None:
    """All but one; they complete although nobody remembers their timer; then the last, and the same again."""
    series, count = files[0].series_uid, len(files)
    send_and_kill(node, proxy, files[:-1], times)
    node.wait_until(lambda: sent(node, series) == count - 1, 180.0, "all but the last at the PACS")
    assert completed(node, series) == [(1, count - 1)]
    send_and_kill(node, proxy, files[-1:], times)
    node.wait_until(lambda: sent(node, series) == count, 180.0, "the late one at the PACS")
    assert completed(node, series) == [(1, count - 1), (2, count)]


@pytest.mark.parametrize("form", forms(16))
def test_what_comes_late_is_supplemented(form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow) -> None:
    rounds, slices = form["rounds"], form["slices"]
    with RecordingProxy(orthanc.dicom_port) as proxy:
        clock = WallClock(tmp_path)
        times = QuietTimes(clock)
        completion = {"quiet_seconds": QUIET}
        node = Node(tmp_path / "node", site_yaml=site(proxy.port), completion=completion, env=clock.env)
        try:
            node.start()
            for number in range(rounds):
                files = instances(make_ct_series(tmp_path / f"ct{number}", slices, rows=64, seed=number))
                one_round(node, proxy, files, times)
            assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [slices] * rounds)
            assert len(events(node, "series.late")) == rounds
        finally:
            node.stop()
    seen = (
        f"{2 * rounds} kills in the quiet time; {rounds} series complete without, then with their late slice, each once"
    )
    record_row(form, node=seen)
