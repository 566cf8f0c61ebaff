"""An instance that streams onto a disk that is really full: a small tmpfs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.small_disk import fill, make_room, tmpfs
from support.rawfiles import RawFile, sample

from dicomnode.domain.instance import Receipt
from dicomnode.store.errors import StoreFailed, StoreFull
from dicomnode.store.journal import Journal
from dicomnode.store.reading import containers, read_bytes
from dicomnode.store.streamed import StreamedInstance

pytestmark = pytest.mark.faults

CT = sample()
SIZE = 2 << 20
PIECE = 60_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with tmpfs(tmp_path / "disk", str(SIZE)) as folder:
        yield folder


def begin(journal: Journal, file: RawFile = CT) -> StreamedInstance:
    return journal.stream(
        sop_class_uid=file.sop_class,
        sop_instance_uid=file.sop_uid,
        transfer_syntax_uid=file.transfer_syntax,
        calling_aet="MODALITY",
    )


def write_until_refused(streamed: StreamedInstance) -> int:
    """How many pieces went in."""
    for taken in range(SIZE // PIECE + 1):
        try:
            streamed.write(bytes(PIECE))
        except StoreFull:
            return taken
    raise AssertionError("the disk is larger than it should be")


def room(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def test_a_disk_that_fills_while_it_arrives(disk: Path) -> None:
    journal = Journal(disk, "n", "p", min_free_gb=0)
    before = room(disk)
    streamed = begin(journal)
    assert write_until_refused(streamed) > 20
    with pytest.raises(StoreFailed):
        streamed.write(b"x")
    assert containers(disk) == []
    assert room(disk) == before, "what was refused gives its room back at once"
    again = begin(journal)
    again.write(CT.data_set)
    location = again.finish(lambda length, sha256: CT.receipt(sha256=sha256))
    assert read_bytes(disk, location).endswith(CT.data_set)


@pytest.mark.parametrize("beyond_the_page", range(0, 4096, 512))
def test_no_room_for_the_receipt(disk: Path, beyond_the_page: int) -> None:
    streamed = begin(Journal(disk, "n", "p", min_free_gb=0))
    streamed.write(bytes(40_960 + beyond_the_page))
    fill(disk)

    def longer_than_a_page(length: int, sha256: str) -> Receipt:
        return CT.receipt(sha256=sha256, association="x" * 5000)

    with pytest.raises(StoreFull):
        streamed.finish(longer_than_a_page)
    assert containers(disk) == []
    make_room(disk)


def test_the_low_water_mark_is_kept_while_it_arrives(disk: Path) -> None:
    journal = Journal(disk, "n", "p", min_free_gb=SIZE / 2 / (1 << 30))
    assert 5 < write_until_refused(begin(journal)) <= SIZE / 2 / PIECE
    assert containers(disk) == []
