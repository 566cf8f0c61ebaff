"""The small data sets of the normalized services, read strictly: a few elements, from bytes that anybody may send.

Time and memory are bounded by the length of what is read; nothing is looked up, converted or kept but what was asked
for (PS3.5 7).
"""

from collections.abc import Collection
from dataclasses import dataclass
from struct import Struct, error

IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"

MAX_NESTED = 8
"""Sequences within sequences; what the services ask for has two."""

MAX_ELEMENTS = 160_000
"""Elements and items in all: an honest list of instances in four megabytes stays below."""

Elements = dict[int, "bytes | list[Elements]"]
"""Values as they came, padding included, and sequences as lists of items, by tag."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
"""VRs with a length of four bytes behind two that are reserved (PS3.5 7.1.2)."""


class UnreadableDataSet(ValueError):
    """The bytes are no data set in this transfer syntax; the message says why, and quotes nothing."""


@dataclass(frozen=True)
class _Form:
    """How elements are encoded."""

    explicit: bool
    head: Struct
    """Group, element, and a length of four bytes."""
    short: Struct
    long: Struct


def _form(explicit: bool, order: str) -> _Form:
    return _Form(explicit, Struct(f"{order}HHL"), Struct(f"{order}H"), Struct(f"{order}L"))


_IMPLICIT = _form(False, "<")
_FORMS = {
    IMPLICIT_VR_LITTLE_ENDIAN: _IMPLICIT,
    EXPLICIT_VR_LITTLE_ENDIAN: _form(True, "<"),
    EXPLICIT_VR_BIG_ENDIAN: _form(True, ">"),
}

NATIVE = frozenset(_FORMS)
"""The transfer syntaxes that are read: of what has no pixels, nobody needs another."""


def read(
    data_set: bytes | memoryview, transfer_syntax_uid: str, values: Collection[int], sequences: Collection[int]
) -> Elements:
    """The elements of these tags at any depth: `values` as bytes, `sequences` as items. Raises UnreadableDataSet.

    `transfer_syntax_uid` is one of `NATIVE`. Elements must be in order (PS3.5 7.1) and end where their item does.
    """
    reader = _Reader(memoryview(data_set), frozenset(values), frozenset(sequences))
    try:
        found, _ = reader.elements(_FORMS[transfer_syntax_uid], 0, len(data_set), 0, is_open=False)
    except error:
        raise UnreadableDataSet("it ends inside an element") from None
    return found


class _Reader:
    def __init__(self, data: memoryview, values: frozenset[int], sequences: frozenset[int]) -> None:
        self._data, self._values, self._sequences = data, values, sequences
        self._left = MAX_ELEMENTS

    def elements(self, form: _Form, position: int, end: int, depth: int, *, is_open: bool) -> tuple[Elements, int]:
        """The elements up to `end`, or, of an item that `is_open`, to its delimiter; and the position behind."""
        found: Elements = {}
        last = -1
        while position < end:
            tag, vr, length, begin = self._head(form, position)
            if tag == _ITEM_END and is_open:
                return found, begin
            if tag <= last:
                raise UnreadableDataSet("its elements are out of order")
            last, position = tag, begin + length
            inner = _IMPLICIT if vr == b"UN" else form  # PS3.5 6.2.2
            if length == _UNDEFINED:
                items, position = self._items(inner, begin, end, depth, is_open=True)
            elif position > end:
                raise UnreadableDataSet("an element is longer than what holds it")
            elif tag in self._sequences:
                items, _ = self._items(inner, begin, position, depth, is_open=False)
            if tag in self._sequences:
                found[tag] = items
            elif tag in self._values:
                found[tag] = bytes(self._data[begin:position])
        if is_open:
            raise UnreadableDataSet("an item has no end")
        return found, position

    def _items(self, form: _Form, position: int, end: int, depth: int, *, is_open: bool) -> tuple[list[Elements], int]:
        """The items of a sequence, in the same way."""
        if depth == MAX_NESTED:
            raise UnreadableDataSet(f"its sequences are nested more than {MAX_NESTED} deep")
        items: list[Elements] = []
        while position < end:
            self._count()
            group, element, length = form.head.unpack_from(self._data, position)
            tag, position = group << 16 | element, position + 8
            if tag == _SEQUENCE_END and is_open:
                return items, position
            if tag != _ITEM or (length != _UNDEFINED and position + length > end):
                raise UnreadableDataSet("a sequence holds something else than items")
            until, undefined = (end, True) if length == _UNDEFINED else (position + length, False)
            item, position = self.elements(form, position, until, depth + 1, is_open=undefined)
            items.append(item)
        if is_open:
            raise UnreadableDataSet("a sequence has no end")
        return items, position

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise UnreadableDataSet("it has more elements than any honest one")

    def _head(self, form: _Form, position: int) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty where it is implicit), length, and where the value begins."""
        self._count()
        group, element, length = form.head.unpack_from(self._data, position)
        tag = group << 16 | element
        if not form.explicit or tag == _ITEM_END:
            return tag, b"", length, position + 8
        vr = bytes(self._data[position + 4 : position + 6])
        if vr in _LONG:
            return tag, vr, form.long.unpack_from(self._data, position + 8)[0], position + 12
        if not vr.isalpha() or not vr.isupper():
            raise UnreadableDataSet("an element has no VR")
        return tag, vr, form.short.unpack_from(self._data, position + 6)[0], position + 8


def text(elements: Elements, tag: int) -> str:
    """A value as text without its padding; empty where it is not there."""
    value = elements.get(tag, b"")
    return value.decode("latin-1").strip("\0 ") if isinstance(value, bytes) else ""


def items(elements: Elements, tag: int) -> list[Elements]:
    """The items of a sequence; none where it is not there."""
    value = elements.get(tag, [])
    return value if isinstance(value, list) else []


def number(elements: Elements, tag: int, transfer_syntax_uid: str) -> int | None:
    """A value of VR US; None where it is not there, or not one number."""
    value = elements.get(tag, b"")
    if not isinstance(value, bytes) or len(value) != 2:
        return None
    return int(_FORMS[transfer_syntax_uid].short.unpack(value)[0])
