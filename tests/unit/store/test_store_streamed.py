import errno
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rawfiles import RawFile, sample

from dicomnode.domain.instance import Receipt
from dicomnode.store import tar
from dicomnode.store.errors import StoreFailed, StoreFull
from dicomnode.store.header import read_header
from dicomnode.store.journal import Journal
from dicomnode.store.members import InstanceMember, Member, members
from dicomnode.store.reading import containers, read_bytes
from dicomnode.store.streamed import StreamedInstance

FILE = sample()


def begin(journal: Journal, file: RawFile = FILE) -> StreamedInstance:
    return journal.stream(
        sop_class_uid=file.sop_class,
        sop_instance_uid=file.sop_uid,
        transfer_syntax_uid=file.transfer_syntax,
        calling_aet="MODALITY",
    )


def attested(length: int, sha256: str) -> Receipt:
    """What a receiver would attest once it knows these two; all else is that of FILE."""
    told = FILE.receipt(sha256=sha256)
    assert told.length == length
    return told


def everything(root: Path) -> list[Member]:
    return [member for container in containers(root) for member in members(root, container.name)]


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 20_000), max_size=30))
def test_in_whatever_pieces_it_comes_it_is_stored_as_if_appended(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        journal = Journal(root, "n", "p", own_container_bytes=1)
        appended = journal.append(FILE.receipt(), FILE.data_set)
        streamed = begin(journal)
        left = memoryview(FILE.data_set)
        for size in sizes:
            streamed.write(left[:size])
            left = left[size:]
        streamed.write(left)
        location = streamed.finish(attested)
        journal.close()
        assert (location.offset, location.length) == (appended.offset, appended.length)
        assert read_bytes(root, location) == read_bytes(root, appended)
        first, second = everything(root)
        assert isinstance(first, InstanceMember)
        assert isinstance(second, InstanceMember)
        assert first.receipt == second.receipt == FILE.receipt()
        assert second.location == location


def test_nobody_sees_it_before_it_is_finished(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "n", "p")
    streamed = begin(journal)
    assert everything(tmp_path) == []
    for begin_at in range(0, len(FILE.data_set), 5000):
        streamed.write(FILE.data_set[begin_at : begin_at + 5000])
        assert everything(tmp_path) == []
    streamed.finish(attested)
    (member,) = everything(tmp_path)
    assert isinstance(member, InstanceMember)


def test_any_tar_reads_it(tmp_path: Path) -> None:
    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(FILE.data_set)
    location = streamed.finish(attested)
    listed = subprocess.run(["tar", "tf", tmp_path / location.container], capture_output=True, check=True, text=True)
    assert listed.stdout.split() == ["0.dcm", "0.receipt"]
    assert listed.stderr == ""


def test_its_header_can_be_read_while_it_arrives(tmp_path: Path) -> None:
    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(FILE.data_set[:1000])
    with streamed.header_stream() as stream:
        assert stream.read() == FILE.data_set[:1000]
        streamed.write(FILE.data_set[1000:])
        assert stream.read() == FILE.data_set[1000:]
        assert stream.seek(10) == 10
        assert stream.read(4) == FILE.data_set[10:14]
        assert stream.seek(-4, io.SEEK_END) == len(FILE.data_set) - 4
        assert stream.read() == FILE.data_set[-4:]
    with streamed.header_stream() as stream:
        assert read_header(stream, FILE.transfer_syntax).SeriesInstanceUID == FILE.series_uid
    assert streamed.length == len(FILE.data_set)
    streamed.discard()


def test_nothing_is_left_of_what_was_discarded(tmp_path: Path) -> None:
    before = open_files()
    journal = Journal(tmp_path, "n", "p")
    for _ in range(50):
        streamed = begin(journal)
        streamed.write(FILE.data_set)
        streamed.discard()
        streamed.discard()
    assert containers(tmp_path) == []
    assert open_files() == before
    with pytest.raises(StoreFailed):
        streamed.write(b"x")
    with pytest.raises(StoreFailed):
        streamed.finish(attested)


def test_what_is_finished_stays(tmp_path: Path) -> None:
    before = open_files()
    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(FILE.data_set)
    streamed.finish(attested)
    streamed.discard()
    with pytest.raises(StoreFailed):
        streamed.finish(attested)
    assert len(everything(tmp_path)) == 1
    assert open_files() == before


def test_nothing_is_left_where_the_receipt_fails(tmp_path: Path) -> None:
    def refuse(length: int, sha256: str) -> Receipt:
        raise LookupError("the data set names another instance")

    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(FILE.data_set)
    with pytest.raises(LookupError):
        streamed.finish(refuse)
    assert containers(tmp_path) == []


def test_a_failed_sync_leaves_nothing_and_is_not_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "I/O error")

    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(FILE.data_set)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(StoreFailed):
        streamed.finish(attested)
    with pytest.raises(StoreFailed):
        streamed.finish(attested)
    monkeypatch.undo()
    assert len(calls) == 1
    assert containers(tmp_path) == []


def test_one_data_sync_that_begins_after_all_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fdatasync
    sizes: list[int] = []

    def watched(descriptor: int) -> None:
        assert any(os.pread(descriptor, tar.BLOCK, 0)), "the header must be there before the sync"
        sizes.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", watched)
    streamed = begin(Journal(tmp_path, "n", "p"))
    for begin_at in range(0, len(FILE.data_set), 5000):
        streamed.write(FILE.data_set[begin_at : begin_at + 5000])
    location = streamed.finish(attested)
    assert sizes == [(tmp_path / location.container).stat().st_size]


def test_nothing_is_begun_below_the_low_water_mark(tmp_path: Path) -> None:
    with pytest.raises(StoreFull, match="low-water mark"):
        begin(Journal(tmp_path, "n", "p", min_free_gb=1e9))
    assert containers(tmp_path) == []


def test_a_size_that_a_tar_cannot_say_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar, "MAX_MEMBER_BYTES", 100_000)
    streamed = begin(Journal(tmp_path, "n", "p"))
    streamed.write(bytes(50_000))
    with pytest.raises(StoreFull, match="8 GiB"):
        streamed.write(bytes(50_000))
    assert containers(tmp_path) == []


LARGE = """
import resource, sys
from pathlib import Path
from support.rawfiles import sample
from dicomnode.store.journal import Journal
file = sample()
streamed = Journal(Path(sys.argv[1]), "n", "p", min_free_gb=0).stream(
    sop_class_uid=file.sop_class, sop_instance_uid=file.sop_uid, transfer_syntax_uid=file.transfer_syntax,
    calling_aet="A")
piece = bytearray(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for number in range(160):
    piece[0] = number % 256
    streamed.write(piece)
length = streamed.length
def receipt_of(length, sha256):
    made = file.receipt(sha256=sha256)
    return type(made)(**(made.to_json() | {"length": length}))
location = streamed.finish(receipt_of)
print(length, location.length - length, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_stays_flat(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([tests, str(Path(tests).parent)])},
        capture_output=True,
        text=True,
        check=True,
    )
    length, prefix, growth_kib = map(int, done.stdout.split())
    assert length == 160 << 20
    assert 300 < prefix < 1000
    assert growth_kib < 16 << 10, "what arrived must not pile up in memory"
    (member,) = everything(tmp_path)
    assert isinstance(member, InstanceMember)
    assert member.receipt.length == length
