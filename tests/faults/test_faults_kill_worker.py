"""kill -9 in every named stage of a job: one derived series at the PACS, whole, each instance sent once."""

from collections import Counter
from pathlib import Path

import pytest
from faults.scenario import ask, assert_delivered_once, events, excuse, instances, send_all, site
from support.nodeproc import Node
from support.peers import Orthanc
from support.promises import promised
from support.proxy import RecordingProxy
from support.series import make_ct_series

from dicomnode.domain.states import DELIVERED

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 5


def node_that_dies(root: Path, proxy: RecordingProxy, stage: str, nth: int = 1) -> Node:
    """A node of which the process that reaches `stage` for the n-th time is killed, once."""
    return Node(
        root / "node",
        site_yaml=site(proxy.port),
        completion={"quiet_seconds": 60.0},  # complete by its announced count, whatever holds up its sender
        env={"DICOMNODE_FAULT": f"{stage}:{root / 'killed'}:{nth}"},
        engine={"devices": ["cpu"], "retry_seconds": 0.2},
    )


def send_series(node: Node, root: Path) -> None:
    send_all(node, instances(make_ct_series(root / "ct", COUNT, rows=64, images_in_acquisition=True)))


def everything_sent(node: Node) -> bool:
    """Whether there are deliveries and all are at their end."""
    states = {state for (state,) in ask(node, "SELECT state FROM delivery")}
    return bool(states) and states <= set(DELIVERED)


def staged_left_over(node: Node) -> set[str]:
    """Staged containers that no committed output points to."""
    root = node.root / str(node.settings["store"]["root"])
    committed = {name for (name,) in ask(node, "SELECT container FROM output")}
    return {str(path.relative_to(root)) for path in (root / "derived").rglob("*.tar")} - committed


@promised()
def assert_one_derived_series(node: Node, proxy: RecordingProxy, orthanc: Orthanc) -> None:
    """Five instances of one series at the PACS, as many outputs, each sent in one C-STORE-RQ."""
    assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [COUNT])
    outputs = {uid for (uid,) in ask(node, "SELECT sop_uid FROM output")}
    assert orthanc.sop_uids(orthanc.series()[0]) == outputs
    assert Counter(store.sop_instance_uid for store in proxy.stores) == dict.fromkeys(outputs, 1)
    node.wait_until(lambda: not staged_left_over(node), 60.0, "what the dead left staged to be swept")


LATER = [pytest.param(stage, marks=pytest.mark.long) for stage in ("decoded", "inferred")]


@pytest.mark.parametrize("stage", ["claimed", *LATER, "staged", "committed"])
def test_a_worker_dies_in(stage: str, tmp_path: Path, orthanc: Orthanc) -> None:
    """The attempt counts as failed, and the next one ends it; after the commit nothing is left to repeat."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = node_that_dies(tmp_path, proxy, stage)
        with node:
            serve = node.pid
            send_series(node, tmp_path)
            node.wait_until(lambda: everything_sent(node), 60.0, "the derived series to be sent")
            assert (tmp_path / "killed").exists(), f"no worker reached {stage}"
            assert node.pid == serve
            attempts = [] if stage == "committed" else ["attempt 1 failed: the worker was killed by SIGKILL"]
            assert events(node, "enhancement.attempt_failed") == attempts
            assert ask(node, "SELECT state, attempt FROM enhancement") == [("done", 1 + len(attempts))]
            assert_one_derived_series(node, proxy, orthanc)


@pytest.mark.parametrize("nth", [pytest.param(1, marks=pytest.mark.long), 3])
def test_the_node_dies_before_it_sends_instance(nth: int, tmp_path: Path, orthanc: Orthanc) -> None:
    """What the PACS answered before the kill is not sent again after the restart."""
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = node_that_dies(tmp_path, proxy, "sending", nth)
        try:
            node.start()
            send_series(node, tmp_path)
            assert node._process is not None
            assert node._process.wait(60.0) == -9
            node.kill9()
            excuse(proxy, [])
            assert len(proxy.stores) == nth - 1
            node.start()
            node.wait_until(lambda: everything_sent(node), 60.0, "the derived series to be sent")
            assert ask(node, "SELECT state, attempt FROM enhancement") == [("done", 1)]
            assert_one_derived_series(node, proxy, orthanc)
        finally:
            node.stop()
