"""A data set walked by hand up to its pixels, for the few values that the receiver and the index need of it.

It answers only where it is sure to agree with `store.header.read_header`, in a seventh of its time, and declines
everything unusual: pydicom is the fallback, and the oracle of its tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from struct import Struct, error

from dicomnode.store.part10 import Buffer

MAX_NESTED = 16
"""Sequences of undefined length within each other; honest ones stay below 10, and pydicom decides on the others."""

MAX_WALKED = 2 << 20
"""Bytes before the pixels. However many elements these are, `read_header` has the budget for them."""

SPECIFIC_CHARACTER_SET = 0x00080005
INSTANCE_CREATOR_UID = 0x00080014
SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
STUDY_DATE = 0x00080020
ACCESSION_NUMBER = 0x00080050
MODALITY = 0x00080060
MANUFACTURER = 0x00080070
STUDY_DESCRIPTION = 0x00081030
SERIES_DESCRIPTION = 0x0008103E
PATIENT_NAME = 0x00100010
PATIENT_ID = 0x00100020
CONTRIBUTING_EQUIPMENT_SEQUENCE = 0x0018A001
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SERIES_NUMBER = 0x00200011
ACQUISITION_NUMBER = 0x00200012
INSTANCE_NUMBER = 0x00200013
IMAGES_IN_ACQUISITION = 0x00201002
ROWS = 0x00280010
COLUMNS = 0x00280011


def _number(vr: str) -> int:
    return int.from_bytes(vr.encode(), "little")


WANTED: Mapping[int, int] = {
    tag: _number(vr)
    for vr, tags in {
        "UI": (INSTANCE_CREATOR_UID, SOP_CLASS_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID, SERIES_INSTANCE_UID),
        "CS": (SPECIFIC_CHARACTER_SET, MODALITY),
        "DA": (STUDY_DATE,),
        "SH": (ACCESSION_NUMBER,),
        "LO": (MANUFACTURER, STUDY_DESCRIPTION, SERIES_DESCRIPTION, PATIENT_ID),
        "PN": (PATIENT_NAME,),
        "SQ": (CONTRIBUTING_EQUIPMENT_SEQUENCE,),
        "IS": (SERIES_NUMBER, ACQUISITION_NUMBER, INSTANCE_NUMBER, IMAGES_IN_ACQUISITION),
        "US": (ROWS, COLUMNS),
    }.items()
    for tag in tags
}
"""The elements that are kept, with their VR (PS3.6 chapter 6) as the number that its two letters make."""

NESTING_SEQUENCES = frozenset(
    {
        0x00081072, 0x00081110, 0x00081111, 0x00081115, 0x00081140, 0x00081250, 0x00082112, 0x00082218, 0x0018A001,
        0x0040030E, 0x00400275, 0x00400555, 0x0040A043, 0x0040A375, 0x0040A730, 0x00540016, 0x00540220, 0x52009229,
        0x52009230,
    }
)  # fmt: skip
"""Sequences that hold others. Implicit VR does not say what is a sequence; of these the scan knows it."""

CHARACTER_SETS = frozenset(
    {"", "ISO_IR 192", "GB18030", "GBK"}
    | {f"ISO_IR {number}" for number in (6, 13, 100, 101, 109, 110, 126, 127, 138, 144, 148, 166)}
    | {
        f"ISO 2022 IR {number}"
        for number in (6, 13, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166)
    }
)
"""Values of SpecificCharacterSet (PS3.3 C.12.1.1.2). Of others, at any depth, pydicom says what becomes of them."""

_SHORT = frozenset(
    map(
        _number,
        ("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS", "ST", "TM",
         "UI", "UL", "US"),
    )
)  # fmt: skip
"""VRs whose length takes two bytes (PS3.5 7.1.2)."""
_LONG = frozenset(map(_number, ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")))
_SQ = _number("SQ")

_IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_NOT_LITTLE_ENDIAN = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
"""Deflated, and big endian. Every other syntax has its elements in explicit VR little endian (PS3.5 A.4)."""

_FIRST_GROUP = 0x0008
_PIXEL_GROUP = 0x7FE0
_DELIMITING_GROUP = 0xFFFE
_ITEM = 0xE000
_ITEM_END = 0xE00D
_SEQUENCE_END = 0xE0DD
_SEQUENCE_END_BYTES = b"\xfe\xff\xdd\xe0"
_UNDEFINED = 0xFFFFFFFF

_MAX_KEPT = 1 << 16
"""No honest value among the wanted is longer, and whatever is copied out of a data set has a bound."""

_explicit_head = Struct("<HHHH").unpack_from
_implicit_head = Struct("<HHL").unpack_from
_long_length = Struct("<L").unpack_from

_Values = dict[int, bytes]
_Walk = Callable[[Buffer, int, int, int, _Values], int]
"""(buffer, begin, end, depth, values) -> the position behind the last element."""


class _Declined(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Scanned:
    """A data set that is whole up to its pixels. UIDs are without their padding, empty where absent.

    `values` holds the bytes of those `WANTED` elements that are there.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    values: Mapping[int, bytes]
    length: int
    """Bytes walked: where group 7FE0 begins, or the end."""


def scan(buffer: Buffer, transfer_syntax_uid: str) -> Scanned | None:
    """Walk the data set that fills `buffer`, without copying it; None where `read_header` should be asked instead.

    What is accepted, `read_header` accepts with the same values; the walk ends before group 7FE0.
    """
    if transfer_syntax_uid in _NOT_LITTLE_ENDIAN:
        return None
    walk = _implicit if transfer_syntax_uid == _IMPLICIT_VR_LITTLE_ENDIAN else _explicit
    values: _Values = {}
    try:
        if not _FIRST_GROUP <= _implicit_head(buffer, 0)[0] < _PIXEL_GROUP:
            return None
        length = walk(buffer, 0, min(len(buffer), MAX_WALKED), 0, values)
        return Scanned(
            _uid(values, SOP_CLASS_UID),
            _uid(values, SOP_INSTANCE_UID),
            _uid(values, STUDY_INSTANCE_UID),
            _uid(values, SERIES_INSTANCE_UID),
            values,
            length,
        )
    except (_Declined, error):  # struct.error: the buffer ends inside an element's head
        return None


def _uid(values: Mapping[int, bytes], tag: int) -> str:
    value = values.get(tag, b"").rstrip(b"\0 ")
    if value.translate(None, b"0123456789."):
        raise _Declined
    return value.decode("ascii")


def _explicit(buffer: Buffer, position: int, end: int, depth: int, values: _Values) -> int:
    """Walk the elements of a data set or an item, to `end` or to the item's delimiter where that is `MAX_WALKED`."""
    last = -1
    while position < end:
        group, element, vr, length = _explicit_head(buffer, position)
        begin = position + 8
        if vr in _LONG:
            (length,) = _long_length(buffer, begin)
            begin += 4
        elif vr not in _SHORT:
            return _item_end(group, element, vr | length, end, begin)
        tag = group << 16 | element
        if tag <= last:
            raise _Declined
        last = tag
        if group >= _PIXEL_GROUP and _ends(group, depth):
            return position
        if length != _UNDEFINED:
            position = begin + length
        elif vr == _SQ:
            position = _sequence(buffer, begin, depth, _explicit)
        else:
            raise _Declined
        if tag in WANTED and (not depth or tag == SPECIFIC_CHARACTER_SET):
            if WANTED[tag] != vr:
                raise _Declined
            values[tag] = _kept(tag, buffer, begin, position)
    if position != end or end == MAX_WALKED:
        raise _Declined
    return position


def _implicit(buffer: Buffer, position: int, end: int, depth: int, values: _Values) -> int:
    """The same in implicit VR (PS3.5 7.1.3)."""
    last = -1
    while position < end:
        group, element, length = _implicit_head(buffer, position)
        begin = position + 8
        tag = group << 16 | element
        if tag <= last or (last < 0 and _looks_explicit(length)):
            raise _Declined
        last = tag
        if group >= _PIXEL_GROUP:
            if group == _DELIMITING_GROUP:
                return _item_end(group, element, length, end, begin)
            if _ends(group, depth):
                return position
        if length != _UNDEFINED:
            position = begin + length
        else:
            position = _sequence(buffer, begin, depth, _implicit)
            if (
                not _is_sequence(tag)
                and _copy(buffer, begin, position).find(_SEQUENCE_END_BYTES) + 8 < position - begin
            ):
                raise _Declined
        if tag in WANTED and (not depth or tag == SPECIFIC_CHARACTER_SET):
            if length == _UNDEFINED and WANTED[tag] != _SQ:
                raise _Declined
            values[tag] = _kept(tag, buffer, begin, position)
    if position != end or end == MAX_WALKED:
        raise _Declined
    return position


def _sequence(buffer: Buffer, position: int, depth: int, walk: _Walk) -> int:
    """Walk a sequence of undefined length (PS3.5 7.5) from its first item; the position behind its delimiter."""
    if depth >= MAX_NESTED:
        raise _Declined
    while True:
        group, element, length = _implicit_head(buffer, position)
        position += 8
        if group != _DELIMITING_GROUP:
            raise _Declined
        if element == _SEQUENCE_END and not length:
            return position
        if element != _ITEM:
            raise _Declined
        end = MAX_WALKED if length == _UNDEFINED else position + length
        if position > MAX_WALKED or (end >= MAX_WALKED and length != _UNDEFINED):
            raise _Declined
        position = walk(buffer, position, end, depth + 1, {})


def _item_end(group: int, element: int, length: int, end: int, behind: int) -> int:
    if end != MAX_WALKED or group != _DELIMITING_GROUP or element != _ITEM_END or length:
        raise _Declined
    return behind


def _ends(group: int, depth: int) -> bool:
    """Whether an element of group 7FE0 or behind ends the walk: not within items, which may hold icons."""
    if group == _DELIMITING_GROUP:
        raise _Declined
    return group == _PIXEL_GROUP and not depth


def _looks_explicit(length: int) -> bool:
    """pydicom takes a first length whose bytes are two capitals for a VR."""
    return 0x40 < length & 0xFF < 0x5B and 0x40 < length >> 8 & 0xFF < 0x5B


def _is_sequence(tag: int) -> bool:
    """Whether pydicom walks the items of this element of implicit VR and undefined length.

    It does so for private elements, and for what its dictionary calls a sequence; it ends others at the first
    delimiter, wherever that stands.
    """
    return bool(tag >> 16 & 1) or tag in NESTING_SEQUENCES


def _kept(tag: int, buffer: Buffer, begin: int, end: int) -> bytes:
    value = _copy(buffer, begin, end)
    if tag == SPECIFIC_CHARACTER_SET and not CHARACTER_SETS.issuperset(character_sets(value)):
        raise _Declined
    return value


def character_sets(value: bytes) -> list[str]:
    """The values of a SpecificCharacterSet."""
    return value.decode("latin-1").rstrip(" \0").split("\\")


def _copy(buffer: Buffer, begin: int, end: int) -> bytes:
    if end - begin > _MAX_KEPT:
        raise _Declined
    return bytes(buffer[begin:end])
