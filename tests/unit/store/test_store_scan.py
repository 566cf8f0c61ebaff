"""The scan against its oracle: on whatever it does not decline, it agrees with pydicom's reading."""

import io
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from struct import pack

import data_store
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_files
from pydicom.datadict import dictionary_keyword, dictionary_VR
from support.rawfiles import RawFile, raw_file, sample

from dicomnode.domain.provenance import INSTANCE_CREATOR_UID
from dicomnode.store import index_fields
from dicomnode.store.header import MAX_READS, UnreadableHeader, read_header
from dicomnode.store.scan import MAX_NESTED, MAX_WALKED, NESTING_SEQUENCES, WANTED, Scanned, scan

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
UNUSUAL = 0.2
"""Of the files that pydicom can read, this share is made to be unusual: big endian, deflated, escape sequences."""


@cache
def files() -> dict[str, RawFile]:
    """Every file of pydicom's and pydicom-data's test sets that pydicom can take apart."""
    paths = {Path(name) for name in get_testdata_files()}
    paths |= {path for path in Path(data_store.__file__).parent.rglob("*") if path.is_file()}
    found = {}
    for path in sorted(paths):
        try:
            found[path.name] = raw_file(path)
        except Exception:  # not DICOM, or broken in a way that no data set can be told from
            continue
    return found


def check(data_set: bytes, syntax: str) -> bool:
    """Hold the scan of these bytes against pydicom's reading; False where it declines."""
    scanned = scan(memoryview(data_set), syntax)
    if scanned is None:
        return False
    header = read_header(io.BytesIO(data_set), syntax)
    for tag, uid in _uids(scanned):
        element = header.get_item(tag)
        assert uid == (element.value.decode() if element is not None and element.value else "").rstrip("\0 ")
    fields = index_fields.of_scanned(scanned)
    assert fields in (None, index_fields.of_header(header))
    return fields is not None


def _uids(scanned: Scanned) -> Iterator[tuple[int, str]]:
    yield 0x00080016, scanned.sop_class_uid
    yield 0x00080018, scanned.sop_instance_uid
    yield 0x0020000D, scanned.study_uid
    yield 0x0020000E, scanned.series_uid


def test_the_scan_agrees_on_every_file_and_declines_few() -> None:
    little_endian = [file for file in files().values() if not file.transfer_syntax.endswith((".1.99", ".1.2.2"))]
    assert len(little_endian) > 150
    declined = [file.path.name for file in little_endian if not check(file.data_set, file.transfer_syntax)]
    assert len(declined) < UNUSUAL * len(little_endian), declined


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_the_scan_agrees_whatever_syntax_is_claimed(syntax: str) -> None:
    for file in files().values():
        check(file.data_set, syntax)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "MR_small.dcm", "MR_small_implicit.dcm", "JPEG2000.dcm", "rtplan.dcm", "test-SR.dcm"]
)
def test_common_files_are_not_declined(name: str) -> None:
    file = sample(name)
    scanned = scan(file.data_set, file.transfer_syntax)
    assert scanned is not None
    assert scanned.sop_instance_uid == file.sop_uid
    assert (scanned.study_uid, scanned.series_uid, scanned.sop_class_uid) == (
        file.study_uid,
        file.series_uid,
        file.sop_class,
    )
    assert check(file.data_set, file.transfer_syntax)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_the_scan_agrees_on_damaged_files(data: st.DataObject) -> None:
    names = sorted(name for name, file in files().items() if len(file.data_set) < 200_000)
    file = files()[data.draw(st.sampled_from(names))]
    damaged = bytearray(file.data_set)
    reach = min(len(damaged), 4096) - 4
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(reach, 0)))
        damage = data.draw(st.sampled_from(["flip", "length", "delimiter", "insert", "cut"]))
        if damage == "flip":
            damaged[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
        elif damage == "length":
            damaged[at : at + 4] = pack("<L", data.draw(st.sampled_from([0, 1, 2, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFE])))
        elif damage == "delimiter":
            damaged[at : at + 8] = pack("<HHL", 0xFFFE, data.draw(st.sampled_from([0xE000, 0xE00D, 0xE0DD])), 0)
        elif damage == "insert":
            damaged[at:at] = data.draw(st.binary(max_size=12))
        else:
            del damaged[at:]
    _check_unless_both_refuse(bytes(damaged), file.transfer_syntax)


def test_the_scan_agrees_on_every_truncation() -> None:
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "test-SR.dcm"):
        file = sample(name)
        for end in range(0, min(len(file.data_set), 6000)):
            _check_unless_both_refuse(file.data_set[:end], file.transfer_syntax)


def test_the_scan_agrees_on_single_flipped_bytes() -> None:
    draw = random.Random(4)
    for name in ("CT_small.dcm", "MR_small_implicit.dcm", "test-SR.dcm", "rtplan.dcm", "reportsi.dcm"):
        file = sample(name)
        for at in range(0, min(len(file.data_set), 2500)):
            damaged = bytearray(file.data_set[:8000])
            damaged[at] = draw.choice((damaged[at] ^ 1 << draw.randrange(8), 0, 0xFF, draw.randrange(256)))
            _check_unless_both_refuse(bytes(damaged), file.transfer_syntax)


TEXTS = st.sampled_from(
    [b"", b"A", b"A\\B", b" A ", b"A\0\0", b"=A", b"A=B=", b"\xe4\xf6", b"\x1b(B", "ä".encode(), b"\0A", b"1", b" 12 ",
     b"-3", b"1.0", b"1_0", b"+4\0", b"99999999999", b"dicomnode ", b"DicomNode", b"\n1", b"\x85x", b"1e3"]
)  # fmt: skip
CHARACTER_SETS = st.sampled_from(
    [None, b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13 ", b"\\ISO 2022 IR 87", b"ISO_IR 144 ", b"NONE",
     b"ISO_IR 192\\ISO_IR 100", b"GB18030 ", b"ISO 2022 IR 6\\ISO 2022 IR 149", b" ISO_IR 100", b"utf-8", b"\\NONE"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(character_set=CHARACTER_SETS, values=st.dictionaries(st.sampled_from(sorted(WANTED)), TEXTS), odd=st.booleans())
@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_the_scan_agrees_on_odd_values(
    syntax: str, character_set: bytes | None, values: dict[int, bytes], odd: bool
) -> None:
    values.pop(0x00080005, None)
    if character_set is not None:
        values[0x00080005] = character_set
    elements = [_element(tag, dictionary_VR(tag), values[tag], syntax) for tag in sorted(values)]
    if odd and elements:
        elements[-1] = elements[-1][:-1]
    _check_unless_both_refuse(b"".join(elements), syntax)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("mark", [(0x00080014, "UI", INSTANCE_CREATOR_UID.encode()), (0x00080070, "LO", b"DICOMNODE ")])
def test_a_dicomnode_is_recognised_by_its_marks(syntax: str, mark: tuple[int, str, bytes]) -> None:
    scanned = scan(_element(*mark, syntax), syntax)
    assert scanned is not None
    fields = index_fields.of_scanned(scanned)
    assert fields is not None
    assert fields.derived_by_node


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("defined", [True, False])
def test_a_mark_among_contributing_equipment_is_left_to_pydicom(syntax: str, defined: bool) -> None:
    item = _element(0x00080070, "LO", b"Dicomnode ", syntax)
    sequence = _sequence(0x0018A001, [item], syntax, defined=defined)
    scanned = scan(sequence, syntax)
    assert scanned is not None
    assert index_fields.of_scanned(scanned) is None
    assert index_fields.of_header(read_header(io.BytesIO(sequence), syntax)).derived_by_node
    other = _sequence(0x0018A001, [item.replace(b"Dicomnode", b"Scanworks")], syntax, defined=defined)
    assert check(other, syntax)


def test_equipment_that_cannot_be_opened_carries_no_mark() -> None:
    broken = _element(0x0018A001, "SQ", b"\xfe\xff\x00\xe0 nothing", EXPLICIT)
    assert not index_fields.of_header(read_header(io.BytesIO(broken), EXPLICIT)).derived_by_node
    assert check(broken, EXPLICIT)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("tag", [0x00081140, 0x00091001, 0x00280006])
def test_nested_sequences_are_walked_or_declined(syntax: str, tag: int) -> None:
    innermost = _element(0x00080018, "UI", b"1.2\0", syntax)
    for depth in range(1, MAX_NESTED + 4):
        nested = innermost
        for _ in range(depth):
            nested = _sequence(tag, [b"", nested, nested[:0]], syntax, defined=False)
        behind = nested + _element(0x00400009, "SH", b"x ", syntax)
        accepted = scan(behind, syntax)
        assert accepted is None or depth <= MAX_NESTED
        assert accepted is None or accepted.sop_instance_uid == ""
        if depth < 5 and tag != 0x00280006:
            assert accepted is not None
        _check_unless_both_refuse(behind, syntax)


def test_bogus_lengths_cost_neither_time_nor_memory() -> None:
    for length in (0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
        assert scan(pack("<HHL", 0x0010, 0x0010, length) + bytes(64), IMPLICIT) is None
        assert scan(pack("<HH2sHL", 0x0009, 0x0010, b"UN", 0, length) + bytes(64), EXPLICIT) is None


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
@pytest.mark.parametrize("inside", [True, False])
def test_no_more_is_walked_than_pydicom_has_a_budget_for(syntax: str, inside: bool) -> None:
    def elements(count: int) -> bytes:
        return b"".join(_element((9 + 2 * (i >> 16)) << 16 | i & 0xFFFF, "CS", b"", syntax) for i in range(count))

    few, many = elements(MAX_WALKED // 8 - 100), elements(MAX_WALKED // 8)
    wrapped = _sequence(0x00081140, [few], syntax, defined=False)
    assert scan(wrapped if inside else few, syntax) is not None
    wrapped = _sequence(0x00081140, [many], syntax, defined=False)
    assert scan(wrapped if inside else many, syntax) is None
    empty = _sequence(0x00081140, [b""] * (MAX_WALKED // 20), syntax, defined=False)
    assert len(empty) < MAX_WALKED
    assert scan(empty, syntax) is not None
    assert 3 * MAX_WALKED // 8 < MAX_READS


@pytest.mark.parametrize("data", [b"", b"\0", b"\x08\0\x05\0", bytes(64), b"\xe0\x7f\x10\0OW\0\0" + bytes(4)])
def test_nothing_is_declined(data: bytes) -> None:
    assert scan(data, EXPLICIT) is None
    assert scan(data, IMPLICIT) is None


def test_deflated_and_big_endian_are_declined() -> None:
    for name in ("image_dfl.dcm", "MR_small_bigendian.dcm"):
        file = sample(name)
        assert scan(file.data_set, file.transfer_syntax) is None


def test_the_tables_are_those_of_the_dictionary() -> None:
    assert {dictionary_VR(tag) for tag in NESTING_SEQUENCES} == {"SQ"}
    assert {dictionary_keyword(tag): dictionary_VR(tag) for tag in WANTED} == {
        dictionary_keyword(tag): vr.to_bytes(2, "little").decode() for tag, vr in WANTED.items()
    }


def _check_unless_both_refuse(data_set: bytes, syntax: str) -> None:
    try:
        read_header(io.BytesIO(data_set), syntax)
    except UnreadableHeader:
        assert scan(data_set, syntax) is None
    else:
        check(data_set, syntax)


def _element(tag: int, vr: str, value: bytes, syntax: str) -> bytes:
    head = pack("<HH", tag >> 16, tag & 0xFFFF)
    if syntax == IMPLICIT:
        return head + pack("<L", len(value)) + value
    if vr == "SQ":
        return head + b"SQ\0\0" + pack("<L", len(value)) + value
    return head + vr.encode() + pack("<H", len(value)) + value


def _sequence(tag: int, items: list[bytes], syntax: str, *, defined: bool) -> bytes:
    if defined:
        return _element(tag, "SQ", b"".join(pack("<HHL", 0xFFFE, 0xE000, len(i)) + i for i in items), syntax)
    ends = pack("<HHL", 0xFFFE, 0xE00D, 0)
    inside = b"".join(pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + item + ends for item in items)
    head = pack("<HH", tag >> 16, tag & 0xFFFF) + (b"" if syntax == IMPLICIT else b"SQ\0\0") + b"\xff" * 4
    return head + inside + pack("<HHL", 0xFFFE, 0xE0DD, 0)
