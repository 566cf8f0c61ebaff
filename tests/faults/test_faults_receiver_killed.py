"""kill -9 of a receiving process, and of the node alone: what was acknowledged is there, others notice nothing."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from faults.scenario import ask, assert_indexed, assert_kept, events, indexed, instances, send, send_all, sender_to
from support.modality import Modality
from support.nodeproc import Node
from support.rawfiles import RawFile
from support.rawsend import NoAnswer
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

COUNT = 40
SENDERS = 6


def metric(node: Node, name: str) -> float:
    text = httpx.get(f"{node.url}/metrics", timeout=30.0, trust_env=False).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


class Crowd:
    """Senders that send a series each, one instance after the other, and note what was acknowledged.

    The last instance of each waits for the kill, which comes when `is_underway` on all: every association is open then.
    """

    def __init__(self, node: Node, series: list[list[RawFile]]) -> None:
        self.acknowledged: dict[int, list[str]] = {number: [] for number in range(len(series))}
        self.cut: set[int] = set()
        self.killed = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._send, args=(node, number, files)) for number, files in enumerate(series)
        ]

    def _send(self, node: Node, number: int, files: list[RawFile]) -> None:
        sender = sender_to(node, f"CT{number}", timeout=30.0)
        try:
            for file in files:
                if file is files[-1]:
                    self.killed.wait(120.0)
                if send(sender, file) == 0x0000:
                    with self._lock:
                        self.acknowledged[number].append(file.sop_uid)
            sender.close()
        except (NoAnswer, OSError):
            self.cut.add(number)
            sender.abort()

    def start(self) -> None:
        """One after the other: a process that has an association leaves the next one to the other, as far as it can."""
        for number, thread in enumerate(self._threads):
            thread.start()
            while thread.is_alive() and not self.acknowledged[number]:
                time.sleep(0.005)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(120.0)
            assert not thread.is_alive()

    def all_acknowledged(self) -> list[str]:
        with self._lock:
            return [uid for uids in self.acknowledged.values() for uid in uids]

    def is_underway(self, node: Node) -> bool:
        """Whether a quarter is acknowledged, some of it from each, and the database knows every association."""
        enough = len(self.all_acknowledged()) > COUNT * len(self.acknowledged) // 4
        return enough and all(self.acknowledged.values()) and len(ask(node, "SELECT 1 FROM association")) == SENDERS


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Its busier receiving process waits until this machine, too, has let the other one run: both serve somebody."""
    (tmp_path / "plant").mkdir()
    wait = "from dicomnode.receive import lobby\nlobby._AFTER_YOU_SECONDS = 0.25\n"
    (tmp_path / "plant/sitecustomize.py").write_text(wait)
    made = Node(
        tmp_path / "node",
        env={"PYTHONPATH": f"{tmp_path / 'plant'}:{Path(__file__).resolve().parents[2]}"},
        dicom={"processes": 2, "max_associations": 20},
        completion={"quiet_seconds": 600.0, "grace_seconds": 0.2},
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()


def crowd_of(tmp_path: Path) -> list[list[RawFile]]:
    return [instances(make_ct_series(tmp_path / f"ct{seed}", COUNT, rows=64, seed=seed)) for seed in range(SENDERS)]


def test_kill_9_of_a_receiving_process_in_the_middle_of_a_receive(node: Node, tmp_path: Path) -> None:
    series = crowd_of(tmp_path)
    files = [file for each in series for file in each]
    before = node.receivers()
    assert len(before) == 2
    crowd = Crowd(node, series)
    crowd.start()
    node.wait_until(lambda: crowd.is_underway(node), 60.0, "a quarter to be acknowledged")
    os.kill(before[0], signal.SIGKILL)
    crowd.killed.set()
    node.wait_until(
        lambda: before[0] not in node.receivers() and len(node.receivers()) == 2 and node._is_ready(), 60.0, "another"
    )
    crowd.join()
    unharmed = set(range(SENDERS)) - crowd.cut
    assert unharmed, "the other process served nobody: the round proves nothing"
    assert crowd.cut, "the killed process served nobody: the round proves nothing"
    assert all(len(crowd.acknowledged[number]) == COUNT for number in unharmed)
    assert before[1] in node.receivers()

    acknowledged = crowd.all_acknowledged()
    node.wait_until(lambda: set(acknowledged) <= indexed(node), 60.0, "the index to hold what was acknowledged")
    assert_kept(node.root / "var/store", acknowledged, files)
    assert_indexed(node, acknowledged, files)
    node.wait_until(lambda: len(events(node, "receiver.died")) == 1, 60.0, "the audit event")
    assert events(node, "receiver.died") == ["receiving process 0 was killed by SIGKILL"]
    node.wait_until(lambda: not ask(node, "SELECT 1 FROM association WHERE closed_at IS NULL"), 60.0, "no open rows")
    outcomes = Counter(outcome for (outcome,) in ask(node, "SELECT outcome FROM association"))
    assert outcomes == {"released": len(unharmed), "lost: the receiving process died": len(crowd.cut)}
    assert metric(node, "dicomnode_associations") == 0
    assert metric(node, "dicomnode_index_backlog") == 0
    assert metric(node, "dicomnode_receivers") == 2

    send_all(node, [file for file in files if file.sop_uid not in set(acknowledged)])
    node.wait_until(lambda: len(indexed(node)) == len(files), 60.0, "the rest to be indexed")
    with_slots = [sender_to(node, f"MR{number}") for number in range(20)]
    for sender in with_slots:
        assert send(sender, files[0]) == 0x0000, "the dead process's slots are free again"
    with pytest.raises(NoAnswer):
        send(sender_to(node, "ONE MORE"), files[0])
    for sender in with_slots:
        sender.close()


def test_kill_9_of_the_node_alone_takes_its_receiving_processes_and_a_new_one_starts(
    node: Node, tmp_path: Path
) -> None:
    series = crowd_of(tmp_path)
    files = [file for each in series for file in each]
    orphans = node.receivers()
    crowd = Crowd(node, series)
    crowd.start()
    node.wait_until(lambda: crowd.is_underway(node), 60.0, "a quarter to be acknowledged")
    node.kill9(workers=False)
    killed_at = time.monotonic()
    node.start(ready=False)
    while any(pid in node.receivers() for pid in orphans):
        assert time.monotonic() - killed_at < 60.0, "the orphans live on"
        time.sleep(0.02)
    crowd.killed.set()  # only now: an orphan may answer until it has noticed
    crowd.join()
    assert crowd.cut == set(range(SENDERS))
    node.wait_ready()
    acknowledged = crowd.all_acknowledged()
    assert_kept(node.root / "var/store", acknowledged, files)
    node.wait_until(lambda: set(acknowledged) <= indexed(node), 60.0, "the index to hold what was acknowledged")
    assert_indexed(node, acknowledged, files)
    outcomes = Counter(outcome for (outcome,) in ask(node, "SELECT outcome FROM association"))
    assert set(outcomes) == {"lost: the node stopped"}
    send_all(node, [file for file in files if file.sop_uid not in set(acknowledged)])
    node.wait_until(lambda: len(indexed(node)) == len(files), 60.0, "the rest to be indexed")
    assert node.terminate() == 0
    assert not node.receivers()


def test_what_a_killed_process_had_begun_and_not_finished_leaves_the_disk(node: Node, tmp_path: Path) -> None:
    """A large instance streams into a container of its own: half of it is an instance to nobody."""
    (large,) = instances(make_ct_series(tmp_path / "ct", 1, rows=2000))
    folder = node.root / "var/store/containers"
    with Modality(node.dicom_port, node.ae_title) as modality:
        modality.begin_store(large, len(large.data_set) - 1000)
        node.wait_until(lambda: any(file.stat().st_size > 4 << 20 for file in folder.iterdir()), 60.0, "half of it")
        (half,) = [file for file in folder.iterdir() if file.stat().st_size > 4 << 20]
        number = int(half.name.split("-")[-3].removeprefix("receive"))
        (died,) = [pid for pid in node.receivers() if holds(pid, half)]
        os.kill(died, signal.SIGKILL)
        node.wait_until(lambda: not half.exists(), 60.0, "its container to be removed")
        modality.socket.close()
    node.wait_until(lambda: events(node, "receiver.died") != [], 60.0, "the audit event")
    assert events(node, "receiver.died") == [f"receiving process {number} was killed by SIGKILL"]
    node.wait_ready()
    send_all(node, [large])
    node.wait_until(lambda: indexed(node) == {large.sop_uid}, 60.0, "the second try")
    assert_indexed(node, [large.sop_uid], [large])


def holds(pid: int, file: Path) -> bool:
    """Whether a process has the file open."""
    return any(entry.resolve() == file for entry in Path(f"/proc/{pid}/fd").iterdir())


def listens(node: Node) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", node.dicom_port), 60.0):
        return True
    return False


def test_a_node_that_drains_finishes_what_is_open(node: Node, tmp_path: Path) -> None:
    """SIGTERM between two instances: the association goes on to its release, and all of it is in the index."""
    files = instances(make_ct_series(tmp_path / "ct", 10, rows=64))
    sender = sender_to(node)
    assert send(sender, files[0]) == 0x0000
    os.kill(node.pid, signal.SIGTERM)
    node.wait_until(lambda: not listens(node), 60.0, "it to listen no more")
    for file in files[1:]:
        assert send(sender, file) == 0x0000
    sender.close()
    assert node.terminate() == 0
    assert indexed(node) == {file.sop_uid for file in files}
    assert ask(node, "SELECT outcome FROM association") == [("released",)]
    assert events(node, "receiver.died") == []
