"""A data set's elements before its pixels, read within budgets: what came over a network decides nothing here.

The limits are the answers to deflate bombs and to nested sequences without end.
"""

import io
import logging
import warnings
import zlib
from collections.abc import Iterable
from typing import BinaryIO, cast

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

MAX_INFLATED_BYTES = 64 << 20
"""More than any honest header: what the elements before the pixels of a deflated data set may inflate to."""

MAX_NESTED = 100
"""Sequences within sequences: honest ones stay below 10. Whoever reads further has as much stack left as this took."""

MAX_READS = 1 << 20
"""What pydicom may read piece by piece: one to three for an element or an item. Ten thousand frames' functional groups
take 700,000; a data set of nothing but empty items costs a gigabyte and a minute for every 15 MB."""

_CHUNK = 64 << 10
_PIXEL_GROUP = 0x7FE0
_UNDEFINED_LENGTH = 0xFFFFFFFF


class UnreadableHeader(ValueError):
    """The bytes are not a data set in the transfer syntax they claim, end too early, or pass a budget."""


def silence_pydicom() -> None:
    """Keep pydicom's warnings out of logs: they quote values, and values are patients.

    For the whole process; call it at the start of each that reads what others sent.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")


def read_header(stream: BinaryIO, transfer_syntax_uid: str) -> Dataset:
    """The elements before group 7FE0 of the data set that begins where `stream` stands.

    Unknown transfer syntaxes are read as explicit VR little endian, which every encapsulated one is (PS3.5 A.4).
    Raises UnreadableHeader; OSError, EOFError if that is what `stream` raised when it was read.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        stream = cast(BinaryIO, _Inflated(stream))
    implicit = transfer_syntax_uid == ImplicitVRLittleEndian
    little_endian = transfer_syntax_uid != ExplicitVRBigEndian
    budgeted = _Budgeted(stream)
    try:
        header = read_dataset(cast(BinaryIO, budgeted), implicit, little_endian, stop_when=_at_pixels)
    except UnreadableHeader:
        raise
    except RecursionError:
        raise UnreadableHeader("its sequences are nested without end") from None
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        if budgeted.failure is None:
            raise UnreadableHeader(f"it cannot be parsed ({type(error).__name__})") from error
    if budgeted.failure is not None:  # also of what pydicom took for the end
        raise budgeted.failure
    _demand_whole_values(header)
    _demand_shallow(header)
    return header


def _at_pixels(tag: BaseTag, vr: str | None, length: int) -> bool:
    return tag.group == _PIXEL_GROUP


def _demand_whole_values(header: Dataset) -> None:
    """Refuse a header that ends inside a value: pydicom keeps what there is and says nothing."""
    if not len(header):
        raise UnreadableHeader("it has no elements before the pixels")
    for element in header.values():
        if isinstance(element, RawDataElement) and element.length != _UNDEFINED_LENGTH:
            value = element.value
            if isinstance(value, bytes) and len(value) < element.length:
                raise UnreadableHeader(f"it ends inside element {element.tag}")


def _demand_shallow(header: Dataset) -> None:
    """Refuse sequences nested beyond the budget, of those that reading has opened; the others are still plain bytes."""
    level, depth = [header], 0
    while level := [item for one in level for element in one.values() for item in _items(element)]:
        depth += 1
        if depth > MAX_NESTED:
            raise UnreadableHeader(f"its sequences are nested more than {MAX_NESTED} deep")


def _items(element: DataElement | RawDataElement) -> Iterable[Dataset]:
    is_open = isinstance(element, DataElement) and isinstance(element.value, Sequence)
    return cast(Iterable[Dataset], element.value) if is_open else ()


class _Budgeted:
    """A stream as pydicom reads it, no more than `MAX_READS` times; `failure` is what the stream itself raised."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell = stream.seek, stream.tell
        self._read = stream.read
        self._left = MAX_READS
        self.failure: OSError | EOFError | None = None

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise UnreadableHeader("it has more elements than any honest header")
        try:
            return self._read(size)
        except (OSError, EOFError) as error:
            self.failure = error
            raise


class _Inflated(io.RawIOBase):
    """The inflated form of a deflated data set (PS3.5 A.5), made as far as it is read and no further."""

    def __init__(self, deflated: BinaryIO) -> None:
        self._deflated = deflated
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._bytes = bytearray()
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        wanted = MAX_INFLATED_BYTES + 1 if size < 0 else self._position + size
        self._inflate(wanted)
        found = bytes(self._bytes[self._position : wanted])
        self._position += len(found)
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            self._inflate(MAX_INFLATED_BYTES + 1)
            offset += len(self._bytes)
        self._position = max(offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def _inflate(self, wanted: int) -> None:
        while len(self._bytes) < wanted and not self._inflater.eof:
            deflated = self._inflater.unconsumed_tail or self._deflated.read(_CHUNK)
            if not deflated:
                return
            self._bytes += self._inflater.decompress(deflated, _CHUNK)
            if len(self._bytes) > MAX_INFLATED_BYTES:
                raise UnreadableHeader(f"its header inflates to more than {MAX_INFLATED_BYTES} bytes")
