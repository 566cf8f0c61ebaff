"""The data set inside a Part 10 file, as the bytes it is made of (PS3.10 7.1)."""

import struct

_PREFIX_END = 132
_LONG_FORM_VRS = (b"OB", b"UN", b"UT", b"OW", b"SQ")  # PS3.5 7.1.2, as far as group 0002 may hold them


class NotPart10(ValueError):
    """The bytes are no DICOM file: prefix missing, or file meta information that does not parse."""


def data_set_bytes(part10: bytes) -> memoryview:
    """The data set of a complete Part 10 file, not copied and not decoded: what followed the file meta information.

    Raises NotPart10.
    """
    return memoryview(part10)[data_set_offset(memoryview(part10)) :]


def data_set_offset(beginning: memoryview) -> int:
    """Where the data set begins in a Part 10 file, of which `beginning` holds the file meta information and more.

    Raises NotPart10.
    """
    if bytes(beginning[128:_PREFIX_END]) != b"DICM":
        raise NotPart10("no DICM prefix at byte 128")
    offset = _PREFIX_END
    while bytes(beginning[offset : offset + 2]) == b"\x02\x00":
        offset = _next_element(beginning, offset)
    if offset == _PREFIX_END or offset >= len(beginning):
        raise NotPart10("no file meta information with a data set behind it")
    return offset


def _next_element(part10: memoryview, offset: int) -> int:
    """Offset behind the explicit VR little endian element at `offset`; group 0002 is always in that syntax.

    Elements are walked one by one because the group length (0002,0000) of some writers is wrong.
    """
    try:
        if bytes(part10[offset + 4 : offset + 6]) in _LONG_FORM_VRS:
            (length,) = struct.unpack_from("<I", part10, offset + 8)
            return offset + 12 + int(length)
        (length,) = struct.unpack_from("<H", part10, offset + 6)
        return offset + 8 + int(length)
    except struct.error as error:
        raise NotPart10("file meta information ends inside an element") from error
