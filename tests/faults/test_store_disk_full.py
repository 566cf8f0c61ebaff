"""A disk that is really full: a small tmpfs. A700, nothing half-stored, and it goes on when there is room again."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rawfiles import RawFile, sample
from support.receiving import Receiving, receiving

from dicomnode.domain.instance import Location
from dicomnode.store.errors import StoreFull
from dicomnode.store.journal import Journal
from dicomnode.store.members import DamagedMember, InstanceMember, members
from dicomnode.store.reading import containers, read_bytes

pytestmark = pytest.mark.faults

STORESCU = "/usr/bin/storescu"
SIZE = 2 << 20


def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system and needs to be root")
    yield from mounted(tmp_path / "disk", f"size={SIZE}")


@pytest.fixture
def few_inodes(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.fail("this test mounts a file system and needs to be root")
    yield from mounted(tmp_path / "disk", f"size={SIZE},nr_inodes=7")


@pytest.fixture(scope="module")
def ct() -> RawFile:
    return sample()


def fill(node: Receiving, ct: RawFile) -> tuple[list[int], int]:
    """Store until it is refused three times; the statuses, and how many were acknowledged."""
    statuses: list[int] = []
    with node.sender() as sender:
        while statuses.count(0xA700) < 3 and len(statuses) < 500:
            statuses.append(sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set))
    return statuses, statuses.count(0)


def whole(node: Receiving) -> int:
    """How many instances lie in the store; every one of them must be complete, and nothing else be visible."""
    found = [member for c in containers(node.root) for member in members(node.root, c.name)]
    assert not any(isinstance(member, DamagedMember) for member in found)
    return sum(isinstance(member, InstanceMember) for member in found)


def test_a_full_disk_is_answered_with_a700_and_survived(small_disk: Path, ct: RawFile) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(SIZE // 4))
    with receiving(small_disk / "store") as node:
        statuses, acknowledged = fill(node, ct)
        assert set(statuses) == {0x0000, 0xA700}
        assert acknowledged > 10
        assert whole(node) == acknowledged
        for container in containers(node.root):
            listed = subprocess.run(["tar", "tf", node.root / container.name], capture_output=True, text=True)
            assert (listed.returncode, listed.stderr) == (0, ""), "a partial member is visible"
        ballast.unlink()
        began = time.monotonic()
        with node.sender() as sender:
            while sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) != 0:
                assert time.monotonic() - began < 60
                time.sleep(0.1)
        assert whole(node) == acknowledged + 1
        assert all(read_bytes(node.root, m.location).endswith(ct.data_set) for m in node.instances())


def test_storescu_is_told(small_disk: Path, ct: RawFile) -> None:
    (small_disk / "ballast").write_bytes(bytes(SIZE - 20_000))
    with receiving(small_disk / "store") as node:
        to = ["-aec", "DICOMNODE", "127.0.0.1", str(node.port), str(ct.path)]
        told = subprocess.run([STORESCU, "-v", "-xe", *to], capture_output=True, text=True, timeout=60)
        assert "Received Store Response (Refused: OutOfResources)" in told.stderr
        assert whole(node) == 0
        (small_disk / "ballast").unlink()
        done = subprocess.run([STORESCU, "-xe", *to], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert whole(node) == 1


def test_many_threads_on_a_disk_that_fills(small_disk: Path, ct: RawFile) -> None:
    journal = Journal(small_disk / "store", "n", "p", min_free_gb=0, max_container_bytes=300_000)
    stored: list[str] = []

    def write(worker: int) -> None:
        for number in range(40):
            uid = f"1.{worker}.{number}"
            try:
                journal.append(ct.receipt(sop_instance_uid=uid, series_uid=f"1.{worker % 2}"), ct.data_set)
                stored.append(uid)
            except StoreFull:
                time.sleep(0.001)

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert 10 < len(stored) < 240
    found = Receiving(small_disk / "store", journal, None).instances()  # type: ignore[arg-type]
    assert sorted(member.receipt.sop_instance_uid for member in found) == sorted(stored)


def test_no_inodes_left(few_inodes: Path, ct: RawFile) -> None:
    ballast = few_inodes / "ballast"
    ballast.write_bytes(b"")
    journal = Journal(few_inodes / "store", "n", "p", min_free_gb=0)
    stored: list[Location] = []
    try:
        stored.extend(journal.append(ct.receipt(series_uid=f"1.{number}"), ct.data_set) for number in range(10))
    except StoreFull:
        ballast.unlink()
    stored.append(journal.append(ct.receipt(series_uid="1.99"), ct.data_set))
    journal.close()
    assert 1 < len(stored) < 10
    assert not ballast.exists()


def test_a_read_only_disk(small_disk: Path, ct: RawFile) -> None:
    with receiving(small_disk / "store") as node:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
        with node.sender() as sender:
            assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0xA700
            subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
            assert sender.store(ct.sop_class, ct.sop_uid, ct.transfer_syntax, ct.data_set) == 0x0000
        assert whole(node) == 1
