"""kill -9 of everything at a random moment of a long receive, round after round: nothing acknowledged is lost."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faults.observed import observed
from faults.scenario import assert_indexed, assert_kept, indexed
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from support import wire
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.modality import Modality, Rejected
from support.rawfiles import RawFile
from support.targets import NodeTarget, OrthancTarget, StoreScpTarget, Target, a_node

from dicomnode.store.members import members
from dicomnode.store.reading import containers

pytestmark = pytest.mark.faults

SEED = 20250301
LARGE_ROWS = 1536
"""4.7 MB: more than the node keeps of an instance in memory; such a one goes to disk while it arrives."""


@dataclass
class Receive:
    """Senders at work, and what each was told."""

    series: list[list[RawFile]]
    acknowledged: list[str] = field(default_factory=list)
    killed: threading.Event = field(default_factory=threading.Event)

    def files(self) -> list[RawFile]:
        return [file for files in self.series for file in files]

    def until_killed(self, target: Target, kill: Callable[[], None], after: int, delay: float) -> None:
        """All senders at once; `kill` a moment after so many instances were acknowledged. The senders end by it."""
        threads = [threading.Thread(target=self._send, args=(target, number)) for number in range(len(self.series))]
        for thread in threads:
            thread.start()
        while len(self.acknowledged) < after and any(thread.is_alive() for thread in threads):
            time.sleep(0.001)
        time.sleep(delay)
        kill()
        self.killed.set()
        for thread in threads:
            thread.join()

    def _send(self, target: Target, number: int) -> None:
        with (
            contextlib.suppress(OSError, wire.Closed, Rejected),
            Modality(target.port, target.ae_title, f"CT{number}", timeout=60.0) as modality,
        ):
            for file in self.series[number]:
                if file is self.series[number][-1]:
                    self.killed.wait()  # on a busy machine the kill may come late: it still meets an open association
                if modality.store(file) == 0x0000:
                    self.acknowledged.append(file.sop_uid)


def drawn(form: Form, number: int) -> Receive:
    """The instances of one round: every sender a series, the last one of large instances, a twentieth as many."""
    each = form["instances"] // form["senders"]
    series = [list(ct_template(64).series(100 * number + sender, each)) for sender in range(1, form["senders"])]
    return Receive([*series, list(ct_template(LARGE_ROWS).series(100 * number + 99, max(each // 20, 3)))])


def rounds(form: Form, target: Target, kill: Callable[[], None], check: Callable[[Receive], None]) -> list[Receive]:
    """So many receives, each killed at a moment that the seed draws, each followed by `check`."""
    chance, done = random.Random(SEED), []
    for number in range(1, form["rounds"] + 1):
        receive = drawn(form, number)
        after = chance.randrange(1, len(receive.files()) * 9 // 10)
        receive.until_killed(target, kill, after, chance.uniform(0.0, 0.01))
        done.append(receive)
        check(receive)
    return done


def empty_containers(root: Path) -> list[str]:
    """Containers without a complete member: what a dead writer left, and nobody swept."""
    return [found.name for found in containers(root) if not any(members(root, found.name, verify=False))]


@pytest.mark.parametrize("form", forms(1, timeout=3000))
def test_what_was_acknowledged_outlives_kill_9(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    completion = {"quiet_seconds": 3600.0}
    with a_node(tmp_path / "node", completion=completion) as target:
        done = rounds(form, target, target.node.kill9, lambda receive: assert_survived(target, receive))
        node = target.node
        for receive in done:
            rest = [file for file in receive.files() if file.sop_uid not in set(receive.acknowledged)]
            with Modality(target.port, target.ae_title, timeout=60.0) as modality:
                assert {modality.store(file) for file in rest} == {0x0000}
        everything = [file for receive in done for file in receive.files()]
        wanted = {file.sop_uid for file in everything}
        node.wait_until(lambda: indexed(node) == wanted, 60.0, "the index to hold them all")
        assert_kept(node.root / "var/store", wanted, everything)
        assert node.cli("audit", "verify")["ok"]
    told = sum(len(receive.acknowledged) for receive in done)
    cut = sum(0 < len(receive.acknowledged) < len(receive.files()) for receive in done)
    assert cut == len(done), "a kill came too late or too early to prove anything"
    seen = f"{told} acknowledged before {len(done)} kills, 0 lost, 0 partial, orphans swept"
    record_row(form, node=seen, **observed(form, tmp_path, lambda peer: text(peer, form)))


def assert_survived(target: NodeTarget, receive: Receive) -> None:
    """After the restart everything acknowledged is in the index with its bytes, and nothing broken lies about."""
    node, store = target.node, target.node.root / "var/store"
    node.start()
    node.wait_until(lambda: set(receive.acknowledged) <= indexed(node), 60.0, "the index to hold the acknowledged")
    assert_indexed(node, receive.acknowledged, receive.files())
    strays = [path for path in (store / "containers").rglob("*") if path.is_file() and path.suffix != ".tar"]
    assert not strays
    node.wait_until(lambda: len(empty_containers(store)) <= len(target.pids()), 60.0, "orphans to be swept")


def text(target: Target, form: Form) -> str:
    """What a peer kept of what it had acknowledged, and what lay about after its restart."""
    assert isinstance(target, OrthancTarget | StoreScpTarget)
    peer = target.peer

    def kill() -> None:
        for pid in target.pids()[::-1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert peer._process is not None
        peer._process.wait()
        peer._process = None

    done = rounds(form, target, kill, lambda receive: peer.start())
    told = {uid for receive in done for uid in receive.acknowledged}
    kept, orphans = orthanc_holds(target) if isinstance(target, OrthancTarget) else storescp_holds(target)
    lost = f"{len(told)} acknowledged before {len(done)} kills, {len(told - kept)} lost"
    return f"{lost}, {orphans} orphaned or partial files"


def orthanc_holds(target: OrthancTarget) -> tuple[set[str], int]:
    """SOP Instance UIDs in its index; files in its storage that no attachment names."""
    rows = target.peer.get("/instances?expand")
    files = sum(1 for path in (target.peer.root / "storage").glob("??/??/*") if path.is_file())
    attachments = sum(len(target.peer.get(f"/instances/{row['ID']}/attachments")) for row in rows)
    return {row["MainDicomTags"]["SOPInstanceUID"] for row in rows}, files - attachments


def storescp_holds(target: StoreScpTarget) -> tuple[set[str], int]:
    """SOP Instance UIDs of whole files; files that cannot be read to their pixels' end."""
    kept, partial = set(), 0
    for path in target.peer.files():
        try:
            dataset = dcmread(path)
            assert len(dataset.PixelData) == dataset.Rows * dataset.Columns * 2
            kept.add(str(dataset.SOPInstanceUID))
        except (InvalidDicomError, AssertionError, AttributeError, EOFError, OSError):
            partial += 1
    return kept, partial
