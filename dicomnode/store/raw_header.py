"""The header at the beginning of a Part 10 file as pydicom would read it, in less than half its time.

Elements are cut out and stay raw, as pydicom itself leaves them. Only explicit VR little endian is read, and what is
plain in it: tags that ascend, known VRs, defined lengths. Everything else is declined, and pydicom asked.
"""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct, error
from typing import cast

from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from dicomnode.store.scan import CHARACTER_SETS

_PREFIX_BYTES = 132
_META_GROUP, _PIXEL_GROUP = 0x0002, 0x7FE0
_CHARACTER_SET, _TRANSFER_SYNTAX = 0x00080005, 0x00020010
_OTHERS = frozenset({ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian})
_UNDEFINED_LENGTH = 0xFFFFFFFF
_DEFAULT = "iso8859"

_head = Struct("<HH2sH").unpack_from
_long_length = Struct("<L").unpack_from
_SHORT = {str(vr).encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_16}
_LONG = {str(vr).encode(): str(vr) for vr in EXPLICIT_VR_LENGTH_32}
_EMPTY = {vr: cast(bytes | None, empty_value_for_VR(vr, raw=True)) for vr in (*_SHORT.values(), *_LONG.values())}

_tag = lru_cache(maxsize=8192)(BaseTag)
_Elements = dict[BaseTag, DataElement | RawDataElement]


class _Declined(Exception):
    pass


def raw_header(data: bytes) -> Dataset | None:
    """The elements before group 7FE0, with `file_meta`; None where `data` ends before that group or is unusual."""
    try:
        meta, begin = _elements(data, _PREFIX_BYTES, lambda group: group != _META_GROUP)
        syntax = meta.get(_tag(_TRANSFER_SYNTAX))
        if syntax is None or (syntax.value or b"").rstrip(b"\0 ").decode("ascii", "replace") in _OTHERS:
            return None
        elements, _ = _elements(data, begin, lambda group: group >= _PIXEL_GROUP)
        codecs = _codecs(elements)
    except (_Declined, error):  # struct.error: the data ends inside an element's head
        return None
    if not elements:
        return None
    header = Dataset(elements)
    header.set_original_encoding(False, True, codecs)
    header.file_meta = FileMetaDataset(meta)
    return header


def _elements(data: bytes, position: int, is_end: Callable[[int], bool]) -> tuple[_Elements, int]:
    """Raw elements from `position` on, and where the first of those begins that are the end."""
    found: _Elements = {}
    last = -1
    while True:
        group, element, letters, length = _head(data, position)
        tag = group << 16 | element
        if is_end(group):
            if group > _PIXEL_GROUP or (letters not in _SHORT and letters not in _LONG):
                raise _Declined
            return found, position
        begin = position + 8
        vr = _SHORT.get(letters)
        if vr is None:
            vr = _LONG.get(letters)
            (length,) = _long_length(data, begin)
            begin += 4
        position = begin + length
        if vr is None or tag <= last or length == _UNDEFINED_LENGTH or position > len(data):
            raise _Declined
        value = data[begin:position] if length else _EMPTY[vr]
        found[_tag(tag)] = RawDataElement(_tag(tag), vr, length, value, begin, False, True)
        last = tag


def _codecs(elements: _Elements) -> str | list[str]:
    element = elements.get(_tag(_CHARACTER_SET))
    if element is None:
        return _DEFAULT
    if (element.value or b"").strip(b"\0 ").decode("ascii", "replace") not in CHARACTER_SETS:
        raise _Declined
    return list(_known_codecs(element.value))


@lru_cache(maxsize=64)
def _known_codecs(value: bytes | None) -> tuple[str, ...]:
    length = len(value or b"")
    raw = RawDataElement(_tag(_CHARACTER_SET), "CS", length, value, 0, False, True)
    return tuple(convert_encodings(convert_raw_data_element(raw).value))
