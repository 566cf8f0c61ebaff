"""Much of everything: a long series, one instance larger than any memory, and transfers that never end."""

import hashlib
import struct
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from faults.observed import observed
from faults.scenario import backlog, in_store, indexed
from support.attack import aborted_transfers
from support.footprint import MIB, Footprint, MemoryWatch
from support.instances import ct_template
from support.mainflow import metric
from support.matrix import Form, RecordRow, forms
from support.modality import Modality
from support.rawfiles import RawFile
from support.targets import NodeTarget, OrthancTarget, StoreScpTarget, Target, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

MOST_RESIDENT = 150_000_000
SERIES, MULTI_FRAME, ABORTED = 210, 211, 212
LARGE_ROWS = 1536
"""4.7 MB: such an instance goes to disk while it arrives, a smaller one does not."""
FRAME = 512 * 512 * 2


@dataclass(frozen=True)
class Outcome:
    """What was seen while so much came; `sha256` is of the multi-frame's data set and its transfer syntax."""

    statuses: Counter[int]
    per_second: float
    multi_frame: int
    megabytes_per_second: float
    aborted: int
    peak: int
    sha256: str

    def text(self) -> str:
        """For people."""
        return (
            f"{self.statuses[0]} stored at {self.per_second:.0f}/s, multi-frame {self.multi_frame:04X} at "
            f"{self.megabytes_per_second:.0f} MB/s, {self.aborted} aborted; largest process {self.peak / 1e6:.0f} MB"
        )


def much(target: Target, form: Form) -> Outcome:
    """The series, the multi-frame, and the transfers that are cut, in this order."""
    with MemoryWatch(target.pids) as memory:
        begin = time.monotonic()
        with Modality(target.port, target.ae_title, timeout=120.0) as modality:
            series = ct_template(form["rows"]).series(SERIES, form["instances"])
            statuses = Counter(modality.store(instance) for instance in series)
        per_second = form["instances"] / (time.monotonic() - begin)
        begin = time.monotonic()
        status, sha256 = send_multi_frame(target, form["frames_mebibytes"])
        rate = form["frames_mebibytes"] * MIB / 1e6 / (time.monotonic() - begin)
        aborted = aborted_transfers(target.port, target.ae_title, unfinished(form["aborts"]), 21, "127.0.0.1")
        ended(target)
    return Outcome(statuses, per_second, status, rate, aborted, memory.peak(), sha256)


def ended(target: Target) -> None:
    """Wait until the peer knows of the end of every transfer: the node says so, the others get a second."""
    if isinstance(target, NodeTarget):
        target.node.wait_until(lambda: metric(target.node, "dicomnode_associations") == 0, 60.0, "all to have ended")
    else:
        time.sleep(1.0)


def send_multi_frame(target: Target, mebibytes: int) -> tuple[int, str]:
    """One image of so many frames, made while it is sent; the status, and the fingerprint of what was sent."""
    image = ct_template(512).instance(MULTI_FRAME, 1)
    pixels = image.data_set.index(struct.pack("<HH", 0x7FE0, 0x0010))
    frames = mebibytes * MIB // FRAME
    count = f"{frames:<6}".encode()
    number_of_frames = struct.pack("<HH2sH", 0x0028, 0x0008, b"IS", len(count)) + count
    rows = image.data_set.index(struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 2))
    head = image.data_set[:rows] + number_of_frames + image.data_set[rows : pixels + 8]
    frame = image.data_set[pixels + 12 : pixels + 12 + FRAME]
    begun = RawFile(Path(), image.sop_class, image.sop_uid, image.study_uid, image.series_uid, image.transfer_syntax,
                    head + struct.pack("<L", frames * FRAME))  # fmt: skip
    digest = hashlib.sha256(begun.data_set)
    with Modality(target.port, target.ae_title, timeout=300.0) as modality:
        modality.begin_store(begun, len(begun.data_set), last=False)
        for number in range(frames):
            modality.send_data(modality.contexts[image.sop_class], frame, last=number == frames - 1)
            digest.update(frame)
        status = modality.status()
    digest.update(image.transfer_syntax.encode())
    return status, digest.hexdigest()


def unfinished(count: int) -> Iterator[RawFile]:
    """Small ones and large ones by turns, each of a series of its own."""
    return (ct_template((64, LARGE_ROWS)[number % 2]).instance(ABORTED + number, 1) for number in range(count))


def files_of(store: Path) -> dict[str, int]:
    """Sizes of the store's containers."""
    return {path.name: path.stat().st_size for path in (store / "containers").rglob("*") if path.is_file()}


def held_by(link: Path) -> str:
    """What a descriptor stands for; empty if it was closed just now."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def assert_nothing_left(target: NodeTarget, form: Form) -> None:
    """No half of anything: every container is whole, none is empty, and no removed file is still held open."""
    store = target.node.root / "var/store"
    removed = [
        name
        for pid in target.pids()
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if "(deleted)" in (name := held_by(link)) and str(store) in name
    ]
    assert not removed
    expected = form["instances"] * len(ct_template(form["rows"]).data_set) + form["frames_mebibytes"] * MIB
    spare = form["instances"] * 4096 + 4 * MIB
    assert sum(files_of(store).values()) < expected + spare
    stored = in_store(store)
    assert len(stored) == form["instances"] + 1
    assert {len(copies) for copies in stored.values()} == {1}


def text(target: Target, form: Form) -> str:
    """What one peer made of it, and what lay about afterwards."""
    assert isinstance(target, OrthancTarget | StoreScpTarget)
    told = much(target, form).text()
    folder = target.peer.root / "storage" if isinstance(target, OrthancTarget) else target.peer.folder
    pattern = "??/??/*" if isinstance(target, OrthancTarget) else "*"
    files = sum(path.is_file() for path in folder.glob(pattern))
    return f"{told}; {target.stored()} kept, {files} files for {form['instances'] + 1} instances"


@pytest.mark.parametrize("form", forms(21, timeout=2400))
def test_much_of_everything(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    completion = {"quiet_seconds": 3600.0}
    with a_node(tmp_path / "node", completion=completion) as target:
        pids, before = target.pids(), Footprint.of(target.pids())
        outcome = much(target, form)
        assert outcome.statuses == {0x0000: form["instances"]}
        assert outcome.multi_frame == 0x0000
        assert outcome.aborted == form["aborts"]
        assert outcome.peak < MOST_RESIDENT, outcome.text()
        node = target.node
        node.wait_until(lambda: backlog(node) == 0, 120.0, "the index to have read it all")
        assert len(indexed(node)) == form["instances"] + 1
        assert_nothing_left(target, form)
        image = ct_template(512).instance(MULTI_FRAME, 1)
        (copy,) = in_store(node.root / "var/store")[image.sop_uid]
        assert copy.receipt.sha256 == outcome.sha256
        node.wait_until(lambda: Footprint.of(target.pids()).within(before, 8), 60.0, "the baseline")
        assert target.pids() == pids
    seen = f"{outcome.text()}; nothing of them left"
    record_row(form, node=seen, **observed(form, tmp_path, lambda peer: text(peer, form)))
