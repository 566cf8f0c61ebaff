"""Where the pixels of a stored instance lie, found without reading what is in or behind them.

What the disk cannot do raises OSError, for another attempt may go through; what is wrong with the bytes raises
UnreadableHeader, for none will.
"""

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import error, unpack_from
from typing import BinaryIO, cast

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset as read_elements
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicomnode.domain.instance import Location
from dicomnode.store.header import MAX_INFLATED_BYTES, UnreadableHeader, read_header
from dicomnode.store.reading import read_bytes

PIXEL_DATA = 0x7FE00010
_PREFIX_BYTES = 132
_CHUNK = 4 << 20
_UNDEFINED_LENGTH = 0xFFFFFFFF
_MOST_BEFORE = 5
"""Elements of group 7FE0 before PixelData: three offset tables and two kinds of floating point pixels (PS3.6)."""


@dataclass(frozen=True)
class Stretch:
    """Bytes of a file, or of an inflated data set in memory."""

    root: Path
    location: Location
    inflated: bytes | None = None

    @property
    def length(self) -> int:
        return self.location.length if self.inflated is None else len(self.inflated)

    def read(self, begin: int, size: int) -> bytes:
        """At most `size` bytes from `begin`. Raises OSError; EOFError if the container ends too early."""
        size = max(min(size, self.length - begin), 0)
        if self.inflated is not None:
            return self.inflated[begin : begin + size]
        return read_bytes(self.root, Location(self.location.container, self.location.offset + begin, size))


@dataclass(frozen=True)
class Payload:
    """The value of PixelData; without one, all from where its group would begin.

    A value of undefined length reaches to the end of the data set, whatever stands behind it. `header` is the data set
    before it, with `file_meta`; `vr` is empty where there is no PixelData.
    """

    header: Dataset
    vr: str
    is_defined: bool
    stretch: Stretch
    begin: int
    length: int

    @property
    def syntax(self) -> UID:
        return UID(str(self.header.file_meta.TransferSyntaxUID))

    def whole(self) -> bytes:
        """All of it. Raises OSError, EOFError."""
        return self.stretch.read(self.begin, self.length)

    def chunks(self) -> Iterator[bytes]:
        """The same piece by piece, each of a few megabytes: all payloads are cut at the same places."""
        for done in range(0, self.length, _CHUNK):
            yield self.stretch.read(self.begin + done, min(_CHUNK, self.length - done))


def payload(root: Path, location: Location) -> Payload:
    """Raises OSError, EOFError; UnreadableHeader, also where the pixels begin beyond `MAX_INFLATED_BYTES`."""
    stretch = Stretch(root, location)
    head = stretch.read(0, MAX_INFLATED_BYTES)
    try:
        stream = io.BytesIO(head)
        stream.seek(_PREFIX_BYTES)
        meta = FileMetaDataset(_file_meta(stream))
        syntax = str(meta.TransferSyntaxUID)
        if syntax == DeflatedExplicitVRLittleEndian:
            head = _inflate(head[stream.tell() :])
            stretch, stream, syntax = Stretch(root, location, head), io.BytesIO(head), ""
        header = read_header(cast(BinaryIO, stream), syntax)
        header.file_meta = meta
        vr, begin, length = _pixel_data(head, stream.tell(), syntax)
    except Exception as reason:  # in memory: pydicom raises whatever the bytes lead it to, OSError as well
        raise UnreadableHeader(f"its pixels cannot be found ({type(reason).__name__})") from reason
    rest = stretch.length - begin
    is_defined = bool(vr) and length != _UNDEFINED_LENGTH
    return Payload(header, vr, is_defined, stretch, begin, min(length, rest) if is_defined else rest)


def _file_meta(stream: BinaryIO) -> Dataset:
    return read_elements(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)


def _inflate(deflated: bytes) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, MAX_INFLATED_BYTES)
    if not inflater.eof:
        raise UnreadableHeader("it ends too early, or inflates to more than the limit")
    return inflated


def _pixel_data(data: bytes, position: int, syntax: str) -> tuple[str, int, int]:
    """(VR, begin, length) of the value of PixelData; without one ("", `position`, 0), where its group would begin."""
    begin = position
    try:
        for _ in range(_MOST_BEFORE + 1):
            tag, vr, length, begin = _element(data, begin, syntax)
            if tag >= PIXEL_DATA:
                return (vr, begin, length) if tag == PIXEL_DATA else ("", position, 0)
            begin += length
    except error:  # the data set ends
        pass
    return "", position, 0


def _element(data: bytes, begin: int, syntax: str) -> tuple[int, str, int, int]:
    """(tag, VR, length, begin of the value) of the element that begins there (PS3.5 7.1.2, 7.1.3)."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    group, element, letters, length = unpack_from(f"{order}HH2sH", data, begin)
    vr, long_at = "OW", begin + 4  # PS3.5 A.1: what implicit VR does not say
    if syntax != ImplicitVRLittleEndian:
        vr, long_at = letters.decode("latin-1"), begin + 8
        if vr not in EXPLICIT_VR_LENGTH_32:
            return group << 16 | element, vr, length, begin + 8
    (length,) = unpack_from(f"{order}L", data, long_at)
    return group << 16 | element, vr, length, long_at + 4
