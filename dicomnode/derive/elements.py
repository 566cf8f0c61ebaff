"""The derived data set under construction: encoded elements by tag, obedient to the table of changes."""

from collections.abc import Iterable, Mapping
from typing import Any

from dicomnode.derive.changes import APPENDED, DROPPED, WRITTEN
from dicomnode.derive.encode import Element, Encoding, element_bytes, packed, written_bytes
from dicomnode.derive.tags import tag_of, tags_of

PIXEL_DATA = 0x7FE00010
_FILE_GROUPS = 0x00080000
_WRITABLE = WRITTEN.keys() | APPENDED.keys()


_DROPPED = tags_of(DROPPED)


class Elements:
    """What is kept of a source, and what is written over it."""

    def __init__(self, encoding: Encoding, creators: Iterable[str]) -> None:
        """`encoding` is the source's; private elements inside its sequences stay only where `creators` names theirs."""
        self.encoding = encoding
        self._creators = frozenset(creators)
        self._kept: dict[int, Element] = {}
        self._new: dict[int, bytes] = {}

    def keep(self, elements: Mapping[int, Element], dropped: frozenset[int]) -> None:
        """Keep elements of the source, by tag, but for the stale ones (`DROPPED`) and `dropped`."""
        gone = _DROPPED | dropped
        self._kept = {
            tag: element
            for tag, element in elements.items()
            if tag not in gone and tag >= _FILE_GROUPS and tag != PIXEL_DATA
        }

    def write(self, values: Mapping[str, Any]) -> None:
        """Write keyword -> value; None and an empty list leave the source's value. KeyError outside the table."""
        for keyword, value in values.items():
            if keyword not in _WRITABLE:
                raise KeyError(f"{keyword} is not in the table of changes")
            if value is None or value == []:
                continue
            tag = tag_of(keyword)
            self._new[tag] = written_bytes(tag, value, self.encoding, self._creators)

    def written(self) -> Mapping[int, bytes]:
        """What was written until now, encoded, by tag."""
        return dict(self._new)

    def take(self, written: Mapping[int, bytes]) -> None:
        """Write what other `Elements` of the same encoding have `written`."""
        self._new.update(written)

    def write_pixels(self, vr: str, value: bytes) -> None:
        """Write PixelData: native, little endian."""
        self._new[PIXEL_DATA] = packed(PIXEL_DATA, vr, value)

    def to_bytes(self) -> bytes:
        """The data set in Explicit VR Little Endian, in tag order."""
        parts: dict[int, bytes] = dict(self._new)
        for tag, element in self._kept.items():
            if tag not in parts:
                parts[tag] = element_bytes(element, self.encoding, self._creators)
        return b"".join(parts[tag] for tag in sorted(parts))
