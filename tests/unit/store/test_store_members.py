import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support.rawfiles import RawFile, sample

from dicomnode.domain.instance import Location
from dicomnode.store import tar
from dicomnode.store.container import Container
from dicomnode.store.members import DamagedMember, EventMember, FileMember, InstanceMember, Member, members
from dicomnode.store.staged import write_container

NAME = "c.tar"


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that try every byte: what they look at does not depend on the disk's cache."""
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


def small(count: int = 0) -> RawFile:
    """A tiny instance, so that every byte of it can be tried."""
    file = sample()
    return RawFile(
        file.path, "1.2.3", f"1.2.{count}", "1.2", "1.3", "1.2.840.10008.1.2.1", bytes(range(100 + count % 50))
    )


def written(root: Path, count: int) -> list[Location]:
    container = Container(root, NAME)
    locations = [container.append(small(n).receipt(), small(n).data_set) for n in range(count)]
    container.close()
    return locations


def read(root: Path, offset: int = 0) -> list[Member]:
    return list(members(root, NAME, offset))


def test_members_come_in_order_with_their_receipts(tmp_path: Path) -> None:
    locations = written(tmp_path, 5)
    found = read(tmp_path)
    assert [m.location for m in found if isinstance(m, InstanceMember)] == locations
    assert [m.receipt for m in found if isinstance(m, InstanceMember)] == [small(n).receipt() for n in range(5)]


def test_reading_resumes_at_every_offset_it_gave(tmp_path: Path) -> None:
    written(tmp_path, 4)
    found = read(tmp_path)
    for seen, member in enumerate(found, start=1):
        assert read(tmp_path, member.next_offset) == found[seen:]


@pytest.mark.usefixtures("no_sync")
def test_a_tail_torn_at_any_byte_is_not_there_yet(tmp_path: Path) -> None:
    written(tmp_path, 2)
    container = tmp_path / NAME
    whole = container.read_bytes()
    first, second = read(tmp_path)
    for size in range(first.next_offset, second.next_offset):
        container.write_bytes(whole[:size])
        assert read(tmp_path) == [first], size
    container.write_bytes(whole[: second.next_offset])
    assert read(tmp_path) == [first, second]


@pytest.mark.usefixtures("no_sync")
def test_an_event_torn_at_any_byte_is_not_there_yet(tmp_path: Path) -> None:
    container = Container(tmp_path, NAME)
    container.note({"event": "first"})
    container.note({"event": "second"})
    container.close()
    whole = (tmp_path / NAME).read_bytes()
    first, second = read(tmp_path)
    assert isinstance(second, EventMember)
    assert second.event == {"event": "second"}
    for size in range(first.next_offset, second.next_offset):
        (tmp_path / NAME).write_bytes(whole[:size])
        assert read(tmp_path) == [first], size


@pytest.mark.usefixtures("no_sync")
def test_damage_anywhere_is_found_and_costs_one_instance(tmp_path: Path) -> None:
    written(tmp_path, 3)
    container = tmp_path / NAME
    whole = container.read_bytes()
    first, second, third = read(tmp_path)
    assert isinstance(second, InstanceMember)
    location = second.location
    begin_of_data_set = location.offset + location.length - second.receipt.length
    receipt = location.offset + tar.padded(location.length)
    document = (receipt + tar.BLOCK, receipt + tar.BLOCK + 40)
    places = [*range(location.offset - tar.BLOCK, location.offset), *range(begin_of_data_set, location.offset
              + location.length), *range(receipt, receipt + tar.BLOCK), *range(*document)]  # fmt: skip
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        container.write_bytes(damaged)
        found = read(tmp_path)
        assert (found[0], found[-1]) == (first, third), place
        assert any(isinstance(member, DamagedMember) for member in found[1:-1]), place
        assert not any(isinstance(member, InstanceMember) for member in found[1:-1]), place


def test_damage_passes_where_it_is_not_looked_for(tmp_path: Path) -> None:
    (location,) = written(tmp_path, 1)
    container = tmp_path / NAME
    damaged = bytearray(container.read_bytes())
    damaged[location.offset + location.length - 1] ^= 0xFF
    container.write_bytes(damaged)
    assert isinstance(next(members(tmp_path, NAME, verify=True)), DamagedMember)
    assert isinstance(next(members(tmp_path, NAME, verify=False)), InstanceMember)


def test_the_transfer_syntax_is_part_of_what_is_attested(tmp_path: Path) -> None:
    file = small()
    container = Container(tmp_path, NAME)
    container.append(file.receipt(transfer_syntax_uid="1.2.840.10008.1.2"), file.data_set)
    container.close()
    (found,) = read(tmp_path)
    assert isinstance(found, DamagedMember)


@pytest.mark.usefixtures("no_sync")
def test_reading_while_the_writer_appends(tmp_path: Path) -> None:
    container = Container(tmp_path, NAME)
    writer = threading.Thread(
        target=lambda: [container.append(small(n).receipt(), small(n).data_set) for n in range(200)]
    )
    writer.start()
    seen: list[Member] = []
    offset = 0
    while len(seen) < 200:
        for member in members(tmp_path, NAME, offset):
            seen.append(member)
            offset = member.next_offset
        if not writer.is_alive() and not list(members(tmp_path, NAME, offset)):
            break
    writer.join()
    container.close()
    assert [m.receipt.sop_instance_uid for m in seen if isinstance(m, InstanceMember)] == [
        f"1.2.{n}" for n in range(200)
    ]


def test_files_without_receipts_are_told_apart(tmp_path: Path) -> None:
    locations = write_container(tmp_path, NAME, [b"one", b"two" * 400])
    found = read(tmp_path)
    assert [m.location for m in found if isinstance(m, FileMember)] == locations


def test_a_missing_container_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path)


def test_text_that_no_database_holds_is_replaced(tmp_path: Path) -> None:
    """Containers keep what receivers noted, and have been written by earlier versions."""
    body = b'{"event":"odd \\u0000","a\\ud800":["\\udfff","\xed\xa0\x80",{"b":"\\ud83d\\ude00"}],"n":1}'
    (tmp_path / NAME).write_bytes(tar.pack("0.event", len(body)) + body + tar.padding(len(body)))
    (member,) = read(tmp_path)
    assert isinstance(member, EventMember)
    assert member.event == {"event": "odd \ufffd", "a\ufffd": ["\ufffd", "\ufffd", {"b": "\U0001f600"}], "n": 1}


def test_a_receipt_is_held_against_its_bytes_as_it_came(tmp_path: Path) -> None:
    """Its sha256 covers the transfer syntax UID, NUL and all; what is read of it any database holds."""
    file = replace(small(), transfer_syntax="1.2.3\0004")
    container = Container(tmp_path, NAME)
    container.append(replace(file.receipt(), calling_aet="CT\0001"), file.data_set)
    container.close()
    (member,) = read(tmp_path)
    assert isinstance(member, InstanceMember)
    assert (member.receipt.transfer_syntax_uid, member.receipt.calling_aet) == ("1.2.3\ufffd4", "CT\ufffd1")
