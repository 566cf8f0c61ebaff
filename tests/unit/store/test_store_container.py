import errno
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.rawfiles import RawFile, sample

from dicomnode.domain.instance import Location
from dicomnode.store import container as container_module
from dicomnode.store.container import Container, store_error
from dicomnode.store.errors import StoreFailed, StoreFull
from dicomnode.store.members import InstanceMember, members
from dicomnode.store.part10 import fingerprint
from dicomnode.store.reading import read_bytes

NAME = "c.tar"


@pytest.fixture(scope="module")
def file() -> RawFile:
    return sample()


def found(root: Path) -> list[Location]:
    return [member.location for member in members(root, NAME) if isinstance(member, InstanceMember)]


def test_files_are_private_and_never_reopened(tmp_path: Path, file: RawFile) -> None:
    Container(tmp_path, NAME).close()
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    with pytest.raises(StoreFailed):
        Container(tmp_path, NAME)


def test_any_tar_reads_a_container(tmp_path: Path, file: RawFile) -> None:
    container = Container(tmp_path, NAME)
    for _ in range(3):
        container.append(file.receipt(), file.data_set)
    container.note({"event": "x"})
    container.close()
    listed = subprocess.run(["tar", "tf", tmp_path / NAME], capture_output=True, check=True, text=True)
    expected = ["0.dcm", "0.receipt", "1.dcm", "1.receipt", "2.dcm", "2.receipt", "3.event"]
    assert listed.stdout.split() == expected
    assert listed.stderr == ""


def test_one_sync_serves_all_who_wait(tmp_path: Path, file: RawFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight append at a time, and a sync ends only when all of them have written."""
    container = Container(tmp_path, NAME)
    first = container.append(file.receipt(), file.data_set)
    one, real = container.size, os.fdatasync
    syncs: list[int] = []
    rounds = 0

    def begin() -> None:
        nonlocal rounds
        rounds += 1

    def slow(descriptor: int) -> None:
        if descriptor != container._descriptor:  # of a thread that another test has left
            return real(descriptor)
        size = os.fstat(descriptor).st_size
        deadline = time.monotonic() + 60
        while os.fstat(descriptor).st_size < one * (1 + 8 * rounds) and time.monotonic() < deadline:
            time.sleep(0.001)
        real(descriptor)
        syncs.append(size)

    monkeypatch.setattr(os, "fdatasync", slow)
    acknowledged: list[tuple[Location, int]] = []
    together = threading.Barrier(8, begin)

    def append() -> None:
        for _ in range(5):
            together.wait(60)
            location = container.append(file.receipt(), file.data_set)
            acknowledged.append((location, max(syncs)))

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert len(acknowledged) == 40
    assert len(syncs) <= 2 * rounds
    for location, synced in acknowledged:
        assert location.offset + location.length <= synced, "acknowledged before a sync that began after its last byte"
    assert found(tmp_path) == sorted([first, *(location for location, _ in acknowledged)])


def test_a_failed_sync_is_final_for_all_who_wait(
    tmp_path: Path, file: RawFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path, NAME)
    kept, real = container.append(file.receipt(), file.data_set), os.fdatasync
    calls = []

    def fail(descriptor: int) -> None:
        if descriptor != container._descriptor:
            return real(descriptor)
        calls.append(descriptor)
        time.sleep(0.05)
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fdatasync", fail)
    refused: list[StoreFailed] = []

    def append() -> None:
        try:
            container.append(file.receipt(), file.data_set)
        except StoreFailed as error:
            refused.append(error)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    assert len(refused) == 4
    assert len(calls) == 1, "a failed sync must not be retried"
    assert container.failed
    with pytest.raises(StoreFailed):
        container.append(file.receipt(), file.data_set)
    container.close()
    assert found(tmp_path) == [kept]


def test_a_write_that_cannot_be_taken_back_closes_the_container(
    tmp_path: Path, file: RawFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = Container(tmp_path, NAME)
    kept = container.append(file.receipt(), file.data_set)
    real = os.writev

    def half(descriptor: int, buffers: list[memoryview]) -> int:
        if len(buffers) > 1:
            return real(descriptor, buffers[:2])
        raise OSError(errno.EIO, "I/O error")

    def fail(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "writev", half)
    monkeypatch.setattr(os, "ftruncate", fail)
    with pytest.raises(StoreFailed):
        container.append(file.receipt(), file.data_set)
    monkeypatch.undo()
    with pytest.raises(StoreFailed, match="could not be taken back"):
        container.append(file.receipt(), file.data_set)
    assert found(tmp_path) == [kept]


LIMITED = """
import os, resource, signal, sys
from pathlib import Path
from support.rawfiles import sample
from dicomnode.store import container as container_module
from dicomnode.store.container import Container
from dicomnode.store.errors import StoreFull
root, file = Path(sys.argv[1]), sample()
container_module._OVERLAP = int(sys.argv[2])
receipt = file.receipt(sha256="")
container = Container(root, "c.tar")
container.append(receipt, file.data_set)
one = container.size
for limit in range(one + 1, 2 * one, 997):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        container.append(receipt, file.data_set)
    except StoreFull:
        assert (root / "c.tar").stat().st_size == one, limit
    else:
        raise AssertionError(limit)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
container.append(receipt, file.data_set)
container.close()
"""


@pytest.mark.parametrize("overlap", [0, 1 << 30], ids=["hashed while the disk works", "hashed before"])
def test_a_short_write_leaves_nothing_behind(tmp_path: Path, overlap: int) -> None:
    """The kernel itself cuts each write at another byte (RLIMIT_FSIZE), then lets it through."""
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path, str(overlap)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, str(Path(tests).parent)])},
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr
    assert len(found(tmp_path)) == 2


def test_no_room_and_failure_are_told_apart() -> None:
    assert isinstance(store_error(OSError(errno.ENOSPC, "")), StoreFull)
    assert isinstance(store_error(OSError(errno.EDQUOT, "")), StoreFull)
    assert isinstance(store_error(OSError(errno.EIO, "")), StoreFailed)
    assert isinstance(store_error(OSError(errno.EROFS, "")), StoreFailed)


@pytest.mark.parametrize("length", [100, container_module._OVERLAP - 1, container_module._OVERLAP, 1_000_000])
def test_a_receipt_without_a_hash_gets_it(tmp_path: Path, file: RawFile, length: int) -> None:
    data_set = os.urandom(length)
    container = Container(tmp_path, NAME)
    without = replace(file.receipt(sha256=""), length=length)
    container.append(without, data_set)
    container.append(replace(without, sha256=fingerprint(data_set, file.transfer_syntax)), data_set)
    container.close()
    first, second = members(tmp_path, NAME)
    assert isinstance(first, InstanceMember)
    assert isinstance(second, InstanceMember)
    assert first.receipt == second.receipt


def test_large_instances_of_many_threads(tmp_path: Path, file: RawFile) -> None:
    container = Container(tmp_path, NAME)
    data_sets = [os.urandom(container_module._OVERLAP + 1000 * n) for n in range(4)]
    stored: list[tuple[Location, bytes]] = []

    def append(data_set: bytes) -> None:
        for _ in range(10):
            receipt = replace(file.receipt(sha256=""), length=len(data_set))
            stored.append((container.append(receipt, data_set), data_set))

    threads = [threading.Thread(target=append, args=(data_set,)) for data_set in data_sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    container.close()
    assert found(tmp_path) == sorted(location for location, _ in stored), "each verified against its own hash"
    assert all(read_bytes(tmp_path, location).endswith(data_set) for location, data_set in stored)


def test_a_writeback_that_fails_takes_its_instance_back(
    tmp_path: Path, file: RawFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int, begin: int, end: int) -> int:
        raise OSError(errno.EIO, "I/O error")

    container = Container(tmp_path, NAME)
    kept = container.append(file.receipt(), file.data_set)
    monkeypatch.setattr(container_module, "start_writeback", fail)
    with pytest.raises(StoreFailed):
        container.append(file.receipt(sha256=""), bytes(container_module._OVERLAP))
    assert (tmp_path / NAME).stat().st_size == container.size
    assert found(tmp_path) == [kept]
