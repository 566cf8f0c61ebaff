"""kill -9 at drawn stages, round after round on the same node: one hash per UID, counts exact, nothing left open."""

import random
from pathlib import Path

import pytest
from faults.scenario import (
    ask,
    assert_delivered_once,
    excuse,
    instances,
    send_all,
    site,
)
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 5
STAGES = ("claimed", "decoded", "inferred", "staged", "committed", "sending:1", "sending:3", "sending:5")
"""Named stages of a job and of a delivery; the number says at which instance."""


def arm(node: Node, root: Path, stage: str, number: int) -> Path:
    """From its next start on, the first process that reaches `stage` is killed, once; returns the marker it leaves."""
    name, _, nth = stage.partition(":")
    marker = root / f"killed-{number}"
    node.env["DICOMNODE_FAULT"] = f"{name}:{marker}:{nth or 1}"
    return marker


def open_deliveries(node: Node) -> int:
    """Deliveries that the PACS has not answered in full, and work that is to be done."""
    query = "SELECT (SELECT count(*) FROM delivery WHERE finished_at IS NULL) + (SELECT count(*) FROM enhancement"
    return int(ask(node, f"{query} WHERE state IN ('ready', 'running'))")[0][0])


def one_round(node: Node, proxy: RecordingProxy, root: Path, stage: str, number: int) -> None:
    """A series comes, somebody dies at the stage, and whatever died is there again."""
    marker = arm(node, root, stage, number)
    node.start()
    files = make_ct_series(root / f"ct{number}", COUNT, rows=64, seed=number, images_in_acquisition=True)
    send_all(node, instances(files))
    assert node._process is not None
    if stage.startswith("sending"):  # in `serve` itself
        assert node._process.wait(60.0) == -9
        node.kill9()
        excuse(proxy, [])
        del node.env["DICOMNODE_FAULT"]
        node.start()
    node.wait_until(marker.exists, 60.0, f"somebody to die at {stage}")
    wanted = f"SELECT count(*) = {number + 1} FROM delivery"
    node.wait_until(lambda: ask(node, wanted)[0][0] and not open_deliveries(node), 60.0, "the series to be delivered")
    node.kill9()
    excuse(proxy, [])


@pytest.mark.parametrize("form", forms(6, timeout=3600))
def test_somebody_dies_in_every_round(form: Form, tmp_path: Path, orthanc: Orthanc, record_row: RecordRow) -> None:
    chance = random.Random(6)
    stages = [*STAGES, *(chance.choice(STAGES) for _ in range(form["rounds"]))]
    chance.shuffle(stages)
    with RecordingProxy(orthanc.dicom_port) as proxy:
        completion = {"quiet_seconds": 60.0}  # complete by its announced count, whatever holds up its sender
        engine = {"devices": ["cpu"], "retry_seconds": 0.2}
        node = Node(tmp_path / "node", site_yaml=site(proxy.port), completion=completion, engine=engine)
        try:
            for number, stage in enumerate(stages[: form["rounds"]]):
                one_round(node, proxy, tmp_path, stage, number)
            node.start()
            assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [COUNT] * form["rounds"])
            outputs = dict(ask(node, "SELECT sop_uid, sha256 FROM output"))
            assert len(outputs) == form["rounds"] * COUNT
            again = sum(len(proxy.of(uid)) > 1 for uid in outputs)
            assert node.cli("audit", "verify")["ok"]
        finally:
            node.stop()
    seen = f"{len(outputs)} derived instances of {form['rounds']} series at the PACS, one hash each; {again} sent again"
    record_row(form, node=seen)
