"""The derived data set under construction: encoded elements by tag, obedient to the table of changes."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomnode.derive.changes import APPENDED, DROPPED, WRITTEN
from dicomnode.derive.encode import Encoding, element_bytes, kept_elements, packed, sequence_bytes, value_bytes

PIXEL_DATA = 0x7FE00010
_FILE_GROUPS = 0x00080000
_WRITABLE = WRITTEN.keys() | APPENDED.keys()


@lru_cache(maxsize=4096)
def tag_of(keyword: str) -> int:
    """Tag of a keyword. Raises KeyError for a word that is none."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def tags_of(keywords: Iterable[str]) -> frozenset[int]:
    """Tags of keywords. Raises KeyError for a word that is none."""
    return frozenset(map(tag_of, keywords))


_DROPPED = tags_of(DROPPED)


class Elements:
    """What is kept of a source, and what is written over it."""

    def __init__(self, source: Dataset, creators: Iterable[str], dropped: frozenset[int]) -> None:
        """Keep the source's elements but the stale ones (`DROPPED`), `dropped`, and private ones of other creators."""
        self._encoding = Encoding.of(source)
        self._creators = frozenset(creators)
        gone = _DROPPED | dropped
        self._kept = {
            int(element.tag): element
            for element in kept_elements(source, self._creators)
            if element.tag not in gone and element.tag >= _FILE_GROUPS and element.tag != PIXEL_DATA
        }
        self._new: dict[int, bytes] = {}

    def write(self, values: Mapping[str, Any]) -> None:
        """Write keyword -> value; None and an empty list leave the source's value. KeyError outside the table."""
        for keyword, value in values.items():
            if keyword not in _WRITABLE:
                raise KeyError(f"{keyword} is not in the table of changes")
            if value is None or value == []:
                continue
            tag = tag_of(keyword)
            self._new[tag] = self._encoded(tag, value)

    def write_pixels(self, vr: str, value: bytes) -> None:
        """Write PixelData: native, little endian."""
        self._new[PIXEL_DATA] = packed(PIXEL_DATA, vr, value)

    def to_bytes(self) -> bytes:
        """The data set in Explicit VR Little Endian, in tag order."""
        parts: dict[int, bytes] = dict(self._new)
        for tag, element in self._kept.items():
            if tag not in parts:
                parts[tag] = element_bytes(element, self._encoding, self._creators)
        return b"".join(parts[tag] for tag in sorted(parts))

    def _encoded(self, tag: int, value: Any) -> bytes:
        vr = dictionary_VR(tag)
        if vr == "SQ":
            return sequence_bytes(tag, value, self._encoding, self._creators)
        return value_bytes(tag, vr, value, self._encoding)
