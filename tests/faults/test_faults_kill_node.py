"""kill -9 of the node in the middle of a receive: what it acknowledged is there, what it derives goes out once."""

import os
import random
import threading
from pathlib import Path

import pytest
from faults.scenario import (
    ask,
    assert_delivered_once,
    assert_exported,
    assert_indexed,
    assert_kept,
    indexed,
    instances,
    kill,
    send_all,
    send_until_it_dies,
    site,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.peers]

COUNT = 16
LONGEST_DELAY = 0.004
"""Seconds between an acknowledgement and the kill: about the time that two C-STOREs take."""


class Executioner:
    """Kills a drawn moment after `after` instances are acknowledged, while the sender goes on, to the last but one.

    On a busy machine the moment may come late, and a series that had arrived whole would prove nothing.
    """

    def __init__(self, node: Node, proxy: RecordingProxy, after: int, delay: float, *, of: int, workers: bool) -> None:
        self.acknowledged: list[str] = []
        self._of = of
        self._node, self._proxy, self._after, self._delay, self._workers = node, proxy, after, delay, workers
        self._thread: threading.Timer | None = None

    def told(self, sop_uid: str) -> None:
        self.acknowledged.append(sop_uid)
        if len(self.acknowledged) == self._after:
            self._thread = threading.Timer(self._delay, kill, (self._node, self._proxy), {"workers": self._workers})
            self._thread.start()
        if len(self.acknowledged) == self._of - 1:
            self.wait()

    def wait(self) -> None:
        assert self._thread is not None, "the moment of the kill never came"
        self._thread.join()


def one_round(node: Node, proxy: RecordingProxy, files: list[RawFile], after: int, delay: float, orphan: bool) -> None:
    """Send until the kill; restart; everything acknowledged is there and nothing broken shows; send the rest."""
    executioner = Executioner(node, proxy, after, delay, of=len(files), workers=not orphan)
    send_until_it_dies(node, files, executioner.told)
    executioner.wait()
    acknowledged = executioner.acknowledged
    assert 0 < len(acknowledged) < len(files) + orphan  # receivers that outlive the node may take one more
    assert_kept(node.root / "var/store", acknowledged, ALL)
    node.start()
    assert_indexed(node, acknowledged, files)
    if orphan:  # the command line says the same; one look at it will do, it starts as slowly as the node
        assert_exported(node, files[0].series_uid, acknowledged, files)
    send_all(node, [file for file in files if file.sop_uid not in acknowledged])


ALL: list[RawFile] = []
"""Every instance that any round has sent."""


@pytest.mark.timeout(600)
def test_what_was_acknowledged_outlives_kill_9_at_any_moment(tmp_path: Path, orthanc: Orthanc) -> None:
    """Each kill falls into a receive, and into whatever the node is doing with the series of the rounds before."""
    rounds = int(os.environ.get("DICOMNODE_KILL_ROUNDS", "5"))
    chance = random.Random(20250301)
    completion = {"quiet_seconds": 20.0, "grace_seconds": 0.2}
    with RecordingProxy(orthanc.dicom_port) as proxy:
        node = Node(tmp_path / "node", site_yaml=site(proxy.port), completion=completion, engine={"retry_seconds": 0.2})
        try:
            node.start()
            for number in range(rounds):
                files = instances(make_ct_series(tmp_path / f"ct{number}", COUNT, rows=64, seed=number,
                                                 images_in_acquisition=True))  # fmt: skip
                ALL.extend(files)
                after = 1 + number * (COUNT - 4) // max(rounds - 1, 1)
                delay = 0.0 if number == 0 else chance.uniform(0.0, LONGEST_DELAY)
                one_round(node, proxy, files, after, delay, orphan=number == rounds // 2)
            settle(node, proxy, orthanc, rounds)
        finally:
            node.stop()
            ALL.clear()


def unsent(node: Node) -> int:
    """Deliveries that are not finished."""
    return int(ask(node, "SELECT count(*) FROM delivery WHERE finished_at IS NULL")[0][0])


def settle(node: Node, proxy: RecordingProxy, orthanc: Orthanc, rounds: int) -> None:
    """All is derived and delivered, each once, with the counts of the sources; the audit log holds."""
    node.wait_until(lambda: orthanc.instance_count() >= rounds * COUNT, 120.0, "all derived instances at the PACS")
    node.wait_until(lambda: unsent(node) == 0, 60.0, "the ledger to note the last answers")
    assert_kept(node.root / "var/store", indexed(node), ALL)
    assert indexed(node) == {file.sop_uid for file in ALL}
    assert_delivered_once(proxy, (orthanc.sop_uids(uid) for uid in orthanc.series()), [COUNT] * rounds)
    assert node.cli("audit", "verify")["ok"]


def test_orphaned_workers_end_by_themselves(tmp_path: Path) -> None:
    """kill -9 of `serve` alone: its workers notice, so that none works for a node that is gone."""
    node = Node(tmp_path / "node")
    try:
        node.start()
        node.wait_until(node.children, 60.0, "a worker to start")
        node.kill9(workers=False)
        node.wait_until(lambda: not node.children(), 60.0, "the orphaned workers to end")
    finally:
        node.stop()
