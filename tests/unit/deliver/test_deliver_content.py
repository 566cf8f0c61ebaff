"""Part 10 files in pieces: whatever the buffer and the PDU, the pieces are the data set."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from dicomnode.deliver.content import DataSet, InMemory, OnDisk
from dicomnode.deliver.outgoing import Outgoing, batches, proposals
from dicomnode.deliver.part10 import NotPart10, data_set_bytes
from dicomnode.domain.instance import Location

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))
PART10 = FILE.read_bytes()
EXPLICIT, IMPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.5"


@given(st.integers(700, 60_000), st.integers(1, 350))
@settings(max_examples=60)
def test_the_pieces_are_the_data_set(buffer_bytes: int, half_step: int) -> None:
    step = 2 * half_step
    for content in (OnDisk(FILE), InMemory(PART10)):
        with content:
            found = [
                (bytes(piece), last)
                for piece, last in DataSet(content, memoryview(bytearray(buffer_bytes))).pieces(step)
            ]
        assert b"".join(piece for piece, _ in found) == data_set_bytes(PART10)
        assert [last for _, last in found] == [False] * (len(found) - 1) + [True]
        assert all(len(piece) % step == 0 for piece, last in found if not last)


def test_an_instance_of_a_container(tmp_path: Path) -> None:
    (tmp_path / "some.tar").write_bytes(b"before" + PART10 + b"behind")
    with OnDisk.at(tmp_path, Location("some.tar", 6, len(PART10))) as content:
        (tmp_path / "some.tar").unlink()  # retention may take it while it is sent
        ((piece, last),) = DataSet(content, memoryview(bytearray(1 << 20))).pieces(1000)
        assert (piece, last) == (data_set_bytes(PART10), True)


def test_a_container_that_ends_too_early(tmp_path: Path) -> None:
    (tmp_path / "some.tar").write_bytes(PART10)
    with pytest.raises(EOFError, match=r"some\.tar ends before byte"):
        OnDisk.at(tmp_path, Location("some.tar", 6, len(PART10)))
    with OnDisk.at(tmp_path, Location("some.tar", 0, len(PART10))) as content:
        data_set = DataSet(content, memoryview(bytearray(4096)))
        with (tmp_path / "some.tar").open("r+b") as file:
            file.truncate(10_000)
        with pytest.raises(EOFError, match="became shorter"):
            list(data_set.pieces(1000))


@pytest.mark.parametrize("name", ["/etc/passwd", "../some.tar", "a/../../some.tar"])
def test_a_location_stays_in_the_store(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the name of a container"):
        OnDisk.at(tmp_path, Location(name, 0, 1))


def test_what_is_no_part_10_file_is_found_at_once(tmp_path: Path) -> None:
    (tmp_path / "some.dcm").write_bytes(b"\0" * 500)
    with OnDisk(tmp_path / "some.dcm") as content, pytest.raises(NotPart10):
        DataSet(content, memoryview(bytearray(400)))


def test_a_file_names_its_own_uids() -> None:
    made = Outgoing.from_file(FILE)
    assert made.syntax == ("1.2.840.10008.5.1.4.1.1.2", EXPLICIT)
    assert made.sop_instance_uid.startswith("1.3.6.1.4.1.5962.1.1.1.1.1")
    with made.content() as content:
        assert content.length == len(PART10)


def test_what_is_proposed() -> None:
    made = [
        Outgoing("1.2.1", "1", RLE, bytes),
        Outgoing("1.2.2", "2", IMPLICIT, bytes),
        Outgoing("1.2.1", "3", RLE, bytes),
    ]
    stored = [("1.2.1", RLE), ("1.2.2", IMPLICIT)]
    assert proposals(made, transcoding=False) == stored
    assert proposals(made, transcoding=True) == [
        *stored,
        ("1.2.1", EXPLICIT),
        ("1.2.1", IMPLICIT),
        ("1.2.2", EXPLICIT),
    ]


def test_batches_leave_room_for_transcoding() -> None:
    made = [Outgoing(f"1.2.{number % 100}", str(number), RLE, bytes) for number in range(300)]
    split = list(batches(made, transcoding=True))
    assert [one for batch in split for one in batch] == made
    assert all(len(proposals(batch, transcoding=True)) <= 128 for batch in split)
    assert len(split) > len(list(batches(made))) == 1
