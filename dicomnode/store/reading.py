"""One instance by its location: its bytes, its header, its data set."""

import contextlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset as read_elements
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicomnode.domain.instance import Location
from dicomnode.store import header
from dicomnode.store.journal import CONTAINERS
from dicomnode.store.raw_header import raw_header

_PREFIX_BYTES = 132
_CHUNK = 64 << 10
MAX_INFLATED_BYTES = 64 << 20
"""Of a deflated data set that is read whole, as a mammogram of one frame has; pydicom holds it three times."""


@dataclass(frozen=True, order=True)
class ContainerFile:
    """A container that exists: its name as in `Location.container`, and its size in bytes when it was listed."""

    name: str
    size: int


def containers(root: Path) -> list[ContainerFile]:
    """Every container that journals have made under this root, by name."""
    folder = root / CONTAINERS
    if not folder.is_dir():
        return []
    found: list[ContainerFile] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".tar"):
                with contextlib.suppress(FileNotFoundError):  # discarded, or given up, since it was listed
                    found.append(ContainerFile(f"{CONTAINERS}/{entry.name}", entry.stat().st_size))
    return sorted(found)


def read_bytes(root: Path, location: Location) -> bytes:
    """The complete Part 10 file. Raises OSError; EOFError if the container ends too early."""
    with _open(root, location) as window:
        return window.read()


def read_header(root: Path, location: Location) -> Dataset:
    """The data set up to its pixels, with `file_meta`; reads only the blocks that hold it.

    Raises OSError, EOFError, UnreadableHeader.
    """
    with _open(root, location) as window:
        plain = raw_header(window.read(_CHUNK))
        if plain is not None:
            return plain
        file_meta = _file_meta(window)
        found = header.read_header(cast(BinaryIO, window), str(file_meta.get("TransferSyntaxUID", "")))
        found.file_meta = file_meta
        return found


def read_dataset(root: Path, location: Location) -> Dataset:
    """The whole data set. Raises OSError, EOFError, UnreadableHeader if it is deflated and inflates beyond
    `MAX_INFLATED_BYTES`, and what pydicom raises for bytes it cannot read.
    """
    with _open(root, location) as window:
        if _file_meta(window).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            _check_inflation(window)
    return dcmread(DicomBytesIO(read_bytes(root, location)))


def _check_inflation(deflated: "_Window") -> None:
    """Inflate and forget, piece by piece: pydicom would hold all of it, and a thousandth of it is enough to send."""
    inflater, left = zlib.decompressobj(-zlib.MAX_WBITS), MAX_INFLATED_BYTES
    piece = b""
    while not inflater.eof and (piece := inflater.unconsumed_tail or deflated.read(_CHUNK)):
        left -= len(inflater.decompress(piece, _CHUNK))
        if left < 0:
            raise header.UnreadableHeader(f"it inflates to more than the limit of {MAX_INFLATED_BYTES >> 20} MiB")


def _file_meta(window: "_Window") -> FileMetaDataset:
    window.seek(_PREFIX_BYTES)
    try:
        elements = read_elements(cast(BinaryIO, window), False, True, stop_when=lambda tag, vr, size: tag.group != 2)
    except Exception as error:
        raise header.UnreadableHeader("its file meta information cannot be read") from error
    return FileMetaDataset(elements)


def _open(root: Path, location: Location) -> "_Window":
    path = Path(location.container)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{location.container!r} is not the name of a container")
    return _Window(root / path, location)


class _Window(io.RawIOBase):
    """The bytes of one member as a file of its own."""

    def __init__(self, path: Path, location: Location) -> None:
        self._file = path.open("rb", buffering=0)
        self._begin = location.offset
        self._length = location.length
        self._position = 0
        self._ahead = b""
        self._ahead_at = 0
        if os.fstat(self._file.fileno()).st_size < location.offset + location.length:
            self._file.close()
            raise EOFError(f"{path.name} ends before byte {location.offset + location.length}")

    def read(self, size: int = -1) -> bytes:
        left = max(self._length - self._position, 0)
        size = left if size < 0 else min(size, left)
        skip = self._position - self._ahead_at
        if skip < 0 or skip + size > len(self._ahead):
            ahead = max(size, min(_CHUNK, left))
            self._ahead = self._read_at(self._position, ahead)
            self._ahead_at, skip = self._position, 0
        self._position += size
        return self._ahead[skip : skip + size]

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> None:
        self._file.close()
        super().close()

    def _read_at(self, position: int, size: int) -> bytes:
        parts = []
        while size > 0:
            part = os.pread(self._file.fileno(), size, self._begin + position)
            if not part:
                raise EOFError(f"{self._file.name} became shorter while it was read")
            parts.append(part)
            position += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
