"""Late instances, and kills while a series is waited for: supplemented, never silent, no timer forgotten."""

from pathlib import Path

import pytest
from faults.scenario import ask, assert_delivered_once, events, excuse, instances, send_all, site
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers]

QUIET = 3.0


def send_and_kill(node: Node, proxy: RecordingProxy, files: list[RawFile]) -> None:
    """They are acknowledged; long before the quiet time is over the node is dead, and there again."""
    send_all(node, files)
    node.kill9()
    excuse(proxy, [])
    node.start()


def completed(node: Node, series_uid: str) -> list[tuple[int, int]]:
    """(generation, instances) of each completion."""
    query = "SELECT generation, instance_count FROM series_facts WHERE series_uid = ? ORDER BY generation"
    return [(generation, count) for generation, count in ask(node, query, series_uid)]


def sent(node: Node, series_uid: str) -> int:
    """Derived instances of a series that the PACS took."""
    query = "SELECT count(*) FROM delivery_item JOIN delivery ON delivery.id = delivery_id WHERE series_uid = ?"
    return int(ask(node, f"{query} AND delivery_item.state = 'sent'", series_uid)[0][0])


def one_round(node: Node, proxy: RecordingProxy, files: list[RawFile]) -> None:
    """All but one; they complete although nobody remembers their timer; then the last, and the same again."""
    series, count = files[0].series_uid, len(files)
    send_and_kill(node, proxy, files[:-1])
    node.wait_until(lambda: sent(node, series) == count - 1, QUIET + 45.0, "all but the last at the PACS")
    assert completed(node, series) == [(1, count - 1)]
    send_and_kill(node, proxy, files[-1:])
    node.wait_until(lambda: sent(node, series) == count, QUIET + 45.0, "the late one at the PACS")
    assert completed(node, series) == [(1, count - 1), (2, count)]


@pytest.mark.parametrize("form", forms(16))
def test_what_comes_late_is_supplemented(form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow) -> None:
    rounds, slices = form["rounds"], form["slices"]
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = Node(tmp_path / "node", site_yaml=site(proxy.port), completion={"quiet_seconds": QUIET})
        try:
            node.start()
            for number in range(rounds):
                one_round(
                    node, proxy, instances(make_ct_series(tmp_path / f"ct{number}", slices, rows=64, seed=number))
                )
            assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [slices] * rounds)
            assert len(events(node, "series.late")) == rounds
        finally:
            node.stop()
    seen = (
        f"{2 * rounds} kills in the quiet time; {rounds} series complete without, then with their late slice, each once"
    )
    record_row(form, node=seen)
