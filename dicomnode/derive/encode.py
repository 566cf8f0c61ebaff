"""Elements as bytes in Explicit VR Little Endian, the same bytes whether pydicom has parsed the value or not.

Values that pydicom has not looked at are copied; only their padding is normalised (PS3.5 6.2 calls it insignificant),
because pydicom normalises it as soon as somebody reads the value, and reading must not change what is written.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from pydicom import DataElement, Dataset, config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.values import convert_SQ

from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.tags import tag_of

_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})
"""VRs whose length field has 32 bits (PS3.5 7.1.2)."""

_TEXT = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs in the Specific Character Set."""

_ONE_VALUE = frozenset({"LT", "ST", "UR", "UT"})
_STRINGS = _TEXT | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_LEADING_SPACE_TOO = frozenset({"AE", "DS", "IS"})
_WORD = {"US": 2, "SS": 2, "OW": 2, "AT": 2, "UL": 4, "SL": 4, "FL": 4, "OF": 4, "OL": 4, "FD": 8, "OD": 8}
_WORD |= {"OV": 8, "SV": 8, "UV": 8}
_VRS = _STRINGS | _LONG | _WORD.keys()
_ITEM = b"\xfe\xff\x00\xe0"

Element = DataElement | RawDataElement
"""As pydicom holds it: parsed, or as it came."""

Item = Dataset | Mapping[str, Any]
"""Of a sequence: one of the source's, or one of ours as keywords and values."""


@dataclass(frozen=True)
class Encoding:
    """How the source's raw values are encoded. `charset` are Python codecs; `signed` settles VR "US or SS"."""

    implicit: bool
    little: bool
    signed: bool
    charset: tuple[str, ...]

    @classmethod
    def of(cls, source: Dataset) -> "Encoding":
        implicit, little = source.original_encoding
        return cls(
            implicit=bool(implicit),
            little=little is not False,
            signed=source.get("PixelRepresentation") == 1,
            charset=_codecs(source) or ("iso8859",),
        )

    def inside(self, item: Dataset) -> "Encoding":
        """An item of a sequence may name a character set of its own (C.12.1.1.2)."""
        codecs = _codecs(item)
        return replace(self, charset=codecs) if codecs else self


def element_bytes(element: Element, encoding: Encoding, creators: frozenset[str]) -> bytes:
    """Tag, VR, length and value. Private attributes inside sequences stay only if `creators` names their creator."""
    if isinstance(element, RawDataElement):
        return _raw_bytes(element, encoding, creators)
    if element.VR == "SQ":
        return sequence_bytes(element.tag, element.value or [], encoding, creators)
    if len(element.VR) != 2:
        element = DataElement(element.tag, _settled(element.VR, encoding), element.value)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element, list(encoding.charset))
    written = buffer.getvalue()
    vr = written[4:6].decode()
    value = written[12 if vr in _LONG else 8 :]
    if not encoding.little and vr in ("OW", "OL", "OF", "OD", "OV"):
        value = _swapped(value, _WORD[vr])
    return packed(element.tag, vr, _tidy(vr, value))


def value_bytes(tag: int, vr: str, value: Any, encoding: Encoding) -> bytes:
    """An element of a value of ours. The usual ones go the short way: ASCII texts, and numbers of 16 bits."""
    if vr == "US" and isinstance(value, int):
        return packed(tag, vr, struct.pack("<H", value))
    texts = value if isinstance(value, list) else [value]
    if vr in _STRINGS and all(isinstance(text, str) and text.isascii() for text in texts):
        return packed(tag, vr, "\\".join(texts).encode())
    element = DataElement(tag, vr, value, validation_mode=config.IGNORE)
    return element_bytes(element, replace(encoding, little=True), frozenset())


def written_bytes(tag: int, value: Any, encoding: Encoding, creators: frozenset[str]) -> bytes:
    """An element of a value of ours, in the VR of its tag; a sequence is given by its items."""
    vr = _vr_of(tag)
    return sequence_bytes(tag, value, encoding, creators) if vr == "SQ" else value_bytes(tag, vr, value, encoding)


def packed(tag: int, vr: str, value: bytes) -> bytes:
    """An explicit VR little endian element; `value` is padded to even length."""
    if len(value) % 2:
        value += b" " if vr in _STRINGS and vr != "UI" else b"\0"
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr in _LONG:
        return head + struct.pack("<HI", 0, len(value)) + value
    if len(value) > 0xFFFE:
        raise CannotDerive(f"{Tag(tag)} is too long for its VR {vr}")
    return head + struct.pack("<H", len(value)) + value


def tags_in(dataset: Dataset) -> list[BaseTag]:
    """The tags of a data set, ascending. (Iterating a data set parses its elements.)"""
    return sorted(dataset.keys())


def kept_elements(dataset: Dataset, creators: frozenset[str]) -> Iterator[tuple[int, Element]]:
    """Tag and element in tag order, without group lengths and private attributes that `creators` does not name.

    An element is as it is, parsed or not, unless its value was left in the file.
    """
    blocks = _private_blocks(dataset, creators) if creators else frozenset()
    elements = {int(tag): element for tag, element in dataset.items()}
    for tag in sorted(elements):
        if _kept(tag, blocks):
            element = elements[tag]
            deferred = isinstance(element, RawDataElement) and element.length and not element.value
            yield tag, dataset[tag] if deferred else element


def _private_blocks(dataset: Dataset, creators: frozenset[str]) -> frozenset[int]:
    """The (group, block) of each private block whose creator is named, as `ggggbb` (PS3.5 7.8.1)."""
    tags = [tag for tag in tags_in(dataset) if tag.is_private_creator]
    named = {tag: dataset[tag].value for tag in tags}
    return frozenset(
        tag.group << 8 | tag.element
        for tag, creator in named.items()
        if isinstance(creator, str) and creator.strip() in creators
    )


def _kept(tag: int, blocks: frozenset[int]) -> bool:
    element = tag & 0xFFFF
    if not tag & 0x10000:
        return element != 0
    return bool(blocks) and (tag >> 16) << 8 | (element if element <= 0xFF else element >> 8) in blocks


def _raw_bytes(raw: RawDataElement, encoding: Encoding, creators: frozenset[str]) -> bytes:
    value = raw.value or b""
    vr = raw.VR
    if vr is None or vr == "UN" or vr not in _VRS:
        known = _settled(_dictionary_vr(raw.tag), encoding)
        if vr == "UN" and known != "UN":
            encoding = replace(encoding, implicit=True, little=True)
        vr = known
    if vr == "SQ":
        try:
            items = convert_SQ(value, encoding.implicit, encoding.little, list(encoding.charset))
        except Exception as error:
            raise CannotDerive(f"the sequence {raw.tag} of the source cannot be read: {error}") from error
        return sequence_bytes(raw.tag, items, encoding, creators)
    if not encoding.little and vr in _WORD:
        value = _swapped(value, _WORD[vr])
    return packed(raw.tag, vr, _tidy(vr, value))


def sequence_bytes(tag: int, items: Iterable[Item], encoding: Encoding, creators: frozenset[str]) -> bytes:
    """A sequence of defined lengths (PS3.5 7.5)."""
    parts = []
    for item in items:
        body = _item_bytes(item, encoding, creators)
        parts.append(_ITEM + struct.pack("<I", len(body)) + body)
    return packed(tag, "SQ", b"".join(parts))


def _item_bytes(item: Item, encoding: Encoding, creators: frozenset[str]) -> bytes:
    if isinstance(item, Dataset):
        inside = encoding.inside(item)
        return b"".join(element_bytes(element, inside, creators) for _, element in kept_elements(item, creators))
    own = sorted((tag_of(keyword), value) for keyword, value in item.items())
    return b"".join(written_bytes(tag, value, encoding, creators) for tag, value in own)


def _tidy(vr: str, value: bytes) -> bytes:
    """Without insignificant padding. Multi-byte text is trimmed at its end alone: 5CH may be half a character."""
    if vr not in _STRINGS:
        return value
    value = value.rstrip(b"\0 =" if vr == "PN" and b"\x1b" not in value else b"\0 ")  # empty groups of components too
    if vr in _ONE_VALUE or (b"\\" not in value and vr not in _LEADING_SPACE_TOO) or not value.isascii():
        return value
    parts = [part.rstrip(b"\0 ") for part in value.split(b"\\")]
    return b"\\".join(part.lstrip(b" ") for part in parts) if vr in _LEADING_SPACE_TOO else b"\\".join(parts)


@lru_cache(maxsize=4096)
def _vr_of(tag: int) -> str:
    return dictionary_VR(tag)


def _dictionary_vr(tag: BaseTag) -> str:
    if tag.is_private:
        return "LO" if tag.is_private_creator else "UN"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _settled(vr: str, encoding: Encoding) -> str:
    """The dictionary's "US or SS" by PixelRepresentation, and words for anything that may be words."""
    if len(vr) == 2:
        return vr
    return "OW" if "OW" in vr else "SS" if encoding.signed else "US"


def _swapped(value: bytes, size: int) -> bytes:
    whole = len(value) - len(value) % size
    return np.frombuffer(value[:whole], dtype=f">u{size}").astype(f"<u{size}").tobytes() + value[whole:]


def _codecs(dataset: Dataset) -> tuple[str, ...]:
    names = dataset.get("SpecificCharacterSet")
    try:
        return tuple(convert_encodings(names if isinstance(names, str) else list(names))) if names else ()
    except LookupError:
        return ()
