"""The elements of one header as facts name them: robust against broken values, and quick.

What is left out: bulk data (OB, OD, OF, OL, OV, OW, and UN beyond `MAX_BINARY`), overlays and curves (groups 60xx,
50xx), private creators themselves, group lengths, file meta information. What is cut: text after `MAX_TEXT`
characters, a value after `MAX_COMPONENTS` components, a sequence after `MAX_ITEMS` items, nesting after `MAX_LEVELS`.
"""

import math
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from dicomnode.domain.facts import Scalar, private_name

MAX_TEXT = 1024
MAX_BINARY = 64
MAX_COMPONENTS = 64
MAX_ITEMS = 1000
MAX_LEVELS = 8

Value = tuple[Scalar, ...]
Element = tuple[str, str, Value]

_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW"})
_ONE_TEXT = frozenset({"LT", "ST", "UR", "UT"})
_TEXT = frozenset({"AE", "AS", "CS", "DA", "DT", "LO", "PN", "SH", "TM", "UC", "UI"}) | _ONE_TEXT
_SHORT = 128
"""Bytes of a value that is remembered."""
_STRUCT = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}


def elements(dataset: Dataset, prefix: str = "", level: int = 0) -> Iterator[Element]:
    """Every element of `dataset` that carries a value: (name, VR, components). Never raises for a broken value.

    Names are as in `domain.facts.SeriesFacts`; those inside sequences come once per item. `dataset` is read, not
    converted: elements that pydicom holds raw stay raw where their value is plain ASCII or numbers.
    """
    creators: dict[int, str] = {}
    for tag in list(dataset.keys()):
        name = _name(dataset, tag, creators)
        if name is None:
            continue
        vr, value = _read(dataset, tag)
        if vr != "SQ":
            if any(component != "" for component in value):
                yield prefix + name, vr, value
        elif value and level < MAX_LEVELS:
            yield prefix + name, vr, value
            for item in dataset[tag].value[:MAX_ITEMS]:
                yield from elements(item, f"{prefix}{name}.", level + 1)


def _name(dataset: Dataset, tag: BaseTag, creators: dict[int, str]) -> str | None:
    group, element = tag.group, tag.element
    if not group & 1:
        return _public_name(int(tag))
    if element < 0x1000:
        return None
    block = group << 16 | element >> 8
    if block not in creators:
        creators[block] = _creator(dataset, block)
    creator = creators[block]
    return private_name(group, element, creator) if creator else f"{group:04X},{element:04X}"


@lru_cache(maxsize=8192)
def _public_name(tag: int) -> str | None:
    group, element = tag >> 16, tag & 0xFFFF
    if element == 0 or group in (0x0000, 0x0002, 0xFFFC, 0xFFFE) or group >> 8 in (0x50, 0x60):
        return None
    return (dictionary_keyword(tag) if dictionary_has_tag(tag) else "") or f"{group:04X},{element:04X}"


def _creator(dataset: Dataset, block: int) -> str:
    if block not in dataset:
        return ""
    value = _read(dataset, Tag(block))[1]
    return str(value[0]) if value else ""


def _read(dataset: Dataset, tag: BaseTag) -> tuple[str, Value]:
    """VR and components of an element; no component where it is empty, bulk data or beyond reading."""
    held: object = dataset.get_item(tag)
    raw = held if isinstance(held, RawDataElement) else None
    if raw is not None:
        vr = _raw_vr(dataset, raw)
        if vr in _BULK and not tag.is_private:
            return vr, ()
        if not raw.value:
            return vr, ()
        try:
            value = _plain(vr, raw.value, "<" if raw.is_little_endian else ">")
        except (ValueError, OverflowError, struct.error):
            return vr, (_clean(raw.value.decode("latin-1")),)
        if value is not None:
            return vr, value
    try:
        return _converted(dataset[tag])
    except Exception:  # whatever pydicom makes of a broken element, the others still count
        text = raw.value if raw is not None and raw.VR != "SQ" else b""
        return (raw.VR or "UN" if raw is not None else "UN"), _binary(text or b"")


def _raw_vr(dataset: Dataset, raw: RawDataElement) -> str:
    vr = raw.VR
    if (vr is None or vr == "UN") and not raw.tag.is_private and dictionary_has_tag(raw.tag):
        vr = dictionary_VR(raw.tag)
    if vr == "US or SS":
        return "SS" if dataset.get("PixelRepresentation") == 1 else "US"
    return "OW" if vr and "OW" in vr else vr or "UN"


def _plain(vr: str, value: bytes, order: str) -> Value | None:
    """Components of the VRs that need no pydicom, or None. Raises ValueError for what is not of its VR.

    The slices of a series have most of their values in common: what is short is remembered.
    """
    return _remembered(vr, value, order) if len(value) <= _SHORT else _components(vr, value, order)


def _components(vr: str, value: bytes, order: str) -> Value | None:
    if vr in _STRUCT:
        size = struct.calcsize(_STRUCT[vr])
        count = min(len(value) // size, MAX_COMPONENTS)
        numbers = struct.unpack(f"{order}{count}{_STRUCT[vr]}", value[: count * size])
        return tuple(_number(number, vr) for number in numbers)
    # A escape byte starts another character set (PS3.5 6.1.2.5); beyond ASCII SpecificCharacterSet decides.
    if not value.isascii() or b"\x1b" in value:
        return None
    if vr in _ONE_TEXT:
        return (_clean(value.decode("ascii")),)
    if vr in _TEXT:
        return tuple(_clean(part) for part in value.decode("ascii").split("\\", MAX_COMPONENTS)[:MAX_COMPONENTS])
    if vr in ("DS", "IS"):
        parts = value.decode("ascii").split("\\", MAX_COMPONENTS)[:MAX_COMPONENTS]
        return tuple(_decimal(_clean(part), vr) for part in parts)
    return None


_remembered = lru_cache(maxsize=8192)(_components)


def _decimal(text: str, vr: str) -> Scalar:
    """The number a DS or IS text means; the text where it means none (a broken value is kept)."""
    try:
        number = float(text)
        if vr == "IS" and number == int(number):
            return int(text) if "." not in text and "e" not in text.lower() else int(number)
    except (ValueError, OverflowError):
        return text
    return _number(number, vr)


def _number(number: float, vr: str) -> Scalar:
    if not math.isfinite(number):
        return str(number)
    # Single precision holds seven digits: 0.1 should read 0.1.
    return float(f"{number:.7g}") if vr == "FL" else number


def _clean(text: str) -> str:
    """Padding off, length bounded; NUL and lone surrogates out, which no database takes as text."""
    text = text.replace("\x00", "").strip()[:MAX_TEXT]
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _binary(value: bytes) -> Value:
    """Short bytes of unknown VR: as text where they print, else in hexadecimal. Nothing beyond `MAX_BINARY`."""
    if not value or len(value) > MAX_BINARY:
        return ()
    text = value.rstrip(b"\x00 ").decode("latin-1")
    if text.isascii() and text.isprintable():
        return tuple(_clean(part) for part in text.split("\\"))
    return (value.hex(),)


def _converted(element: DataElement) -> tuple[str, Value]:
    vr, value = str(element.VR), element.value
    if vr == "SQ":
        return vr, (len(value),) if value else ()
    if vr in _BULK or "OW" in vr or vr == "UN":
        return vr, _binary(value) if isinstance(value, bytes) and (vr == "UN" or element.tag.is_private) else ()
    if value is None:
        return vr, ()
    parts = list(value)[:MAX_COMPONENTS] if isinstance(value, MultiValue | list | tuple) else [value]
    return vr, tuple(_component(part, vr) for part in parts)


def _component(part: Any, vr: str) -> Scalar:
    if vr == "AT" and isinstance(part, int):
        return f"{part >> 16:04X},{part & 0xFFFF:04X}"
    if vr in ("DS", "IS"):
        return _decimal(_clean(str(part)), vr)
    if isinstance(part, int | float):
        return _number(part, vr)
    return _clean(part.hex() if isinstance(part, bytes) else str(part))
