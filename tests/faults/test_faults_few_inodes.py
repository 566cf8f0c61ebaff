"""A store without a free inode, or suddenly read-only: A700, nothing half-stored, and it goes on when mended."""

import time
from collections import Counter
from pathlib import Path

import pytest
from faults.broken_disk import brittle_disk
from faults.scenario import assert_kept, indexed
from faults.small_disk import take_inodes, tmpfs
from support.instances import ct_template
from support.matrix import RecordRow
from support.modality import Modality
from support.rawfiles import RawFile
from support.targets import NodeTarget, a_node

pytestmark = pytest.mark.faults

A700 = 0xA700
MOST_TRIES = 50
"""At tenths of a second: five seconds, on a machine that nothing holds up."""


def one_of_each(series: int, count: int) -> list[RawFile]:
    """Instances of so many series: each needs a container of its own."""
    return [ct_template(64).instance(series + number, 1) for number in range(count)]


def send(target: NodeTarget, files: list[RawFile]) -> Counter[int]:
    with Modality(target.port, target.ae_title, timeout=60.0) as modality:
        return Counter(modality.store(file) for file in files)


def seconds_until_taken(target: NodeTarget, file: RawFile) -> float:
    begin = time.monotonic()
    for _ in range(MOST_TRIES):
        if send(target, [file]) == {0x0000: 1}:
            return time.monotonic() - begin
        time.sleep(0.1)
    pytest.fail("nothing is taken although it could be")


def assert_all_there(target: NodeTarget, store: Path, files: list[RawFile]) -> None:
    """In the store and in the index, and nothing else is."""
    wanted = {file.sop_uid for file in files}
    target.node.wait_until(lambda: indexed(target.node) == wanted, 60.0, "the index to hold them all")
    assert_kept(store, wanted, files)
    assert target.node.cli("audit", "verify")["ok"]


def test_a_disk_without_a_free_inode(tmp_path: Path, record_row: RecordRow) -> None:
    before, during, after = (one_of_each(series, 8) for series in (100, 200, 300))
    with (
        tmpfs(tmp_path / "disk", "16m", inodes=60) as disk,
        a_node(tmp_path / "node", store={"root": str(disk / "store"), "min_free_gb": 0}) as target,
    ):
        pids = [target.node.pid, *target.pids()]
        assert send(target, before) == {0x0000: len(before)}
        taken = take_inodes(disk)
        refused = send(target, during)
        assert refused == {A700: len(during)}
        assert_kept(disk / "store", [file.sop_uid for file in before], before)
        for path in taken:
            path.unlink()
        waited = seconds_until_taken(target, during[0])
        assert send(target, during[1:] + after) == {0x0000: len(during) - 1 + len(after)}
        assert_all_there(target, disk / "store", before + during + after)
        assert [target.node.pid, *target.pids()] == pids
    seen = f"{refused[A700]} refused with A700, taken again {waited:.1f} s after"
    record_row(4, "no inode left", node=seen)


def test_a_disk_that_turns_read_only(tmp_path: Path, record_row: RecordRow) -> None:
    """Under open containers, in the middle of a receive. It takes an administrator, and a restart, to mend it."""
    series = list(ct_template(64).series(400, 200))
    with brittle_disk(tmp_path / "disk") as disk:
        store = {"root": str(disk.folder / "store"), "min_free_gb": 0}
        with a_node(tmp_path / "node", store=store) as target:
            with Modality(target.port, target.ae_title) as modality:
                taken = [file for file in series[:100] if modality.store(file) == 0x0000]
                assert len(taken) == 100
                disk.break_down()
                statuses = Counter(modality.store(file) for file in series[100:120])
                assert statuses == {A700: 20}
            assert send(target, series[120:130]) == {A700: 10}
            with Modality(target.port, target.ae_title) as modality:
                assert modality.echo() == 0x0000
            target.node.terminate()
            disk.repair()
            target.node.start()
            assert_all_there(target, disk.folder / "store", taken)
            assert send(target, series[100:]) == {0x0000: 100}
            assert_all_there(target, disk.folder / "store", series)
            target.node.stop()
    record_row(4, "read-only under open files", node="30 refused with A700; after repair and restart nothing is lost")
