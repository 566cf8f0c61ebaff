"""A very large instance on its way into a container of its own, written while it arrives."""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import part10, tar
from dicomnode.store.container import open_new, store_error, write_all
from dicomnode.store.errors import StoreError, StoreFailed, StoreFull
from dicomnode.store.free_space import FreeSpace
from dicomnode.store.writeback import start_writeback

_READ_AHEAD = 64 << 10
_WRITEBACK = 1 << 20
"""How much gathers before the disk is set to work on it: the data sync at the end finds no more than this to do."""


class StreamedInstance:
    """The data set of one instance, piece by piece; used by one thread.

    The header block in front stays zeros, which readers take for the end, until `finish` knows the length: what was
    cut by a crash is an instance to nobody, and is swept. A write that fails discards everything.
    """

    def __init__(self, root: Path, name: str, file_meta: part10.FileMeta, free_space: FreeSpace) -> None:
        """Create `root/name`, make its name durable, and write all that precedes the data set. Raises StoreError."""
        self.length = 0
        self._name = name
        self._path = root / name
        self._free_space = free_space
        self._transfer_syntax_uid = file_meta.transfer_syntax_uid
        self._digest = hashlib.sha256()
        prefix = part10.prefix(file_meta)
        self._prefix_length = len(prefix)
        self._end = 0
        self._writeback_from = 0
        self._descriptor = open_new(self._path, os.O_RDWR)
        self._open = True
        self._write(bytes(tar.BLOCK), prefix)

    def write(self, piece: part10.Buffer) -> None:
        """Append the next bytes of the data set. Raises StoreFull or StoreFailed; then all is discarded."""
        if self._prefix_length + self.length + len(piece) > tar.MAX_MEMBER_BYTES:
            self.discard()
            raise StoreFull(tar.TOO_LARGE)
        self._write(piece)
        self._digest.update(piece)
        self.length += len(piece)

    def header_stream(self) -> BinaryIO:
        """The data set as written so far, from its first byte; it grows as more is written.

        Read it between writes, and close it; it does not outlive `finish` or `discard`.
        """
        return cast(BinaryIO, io.BufferedReader(_Written(self), _READ_AHEAD))

    def finish(self, receipt_of: Callable[[int, str], Receipt]) -> Location:
        """Seal it with the receipt for its length in bytes and its sha256 (as `Receipt` defines them).

        Returns after a data sync that began after the last byte. Raises StoreFull or StoreFailed, and what
        `receipt_of` raises; then nothing is left.
        """
        self._demand_open()
        try:
            self._digest.update(self._transfer_syntax_uid.encode())
            receipt = receipt_of(self.length, self._digest.hexdigest())
            location = self._seal(receipt)
        except OSError as error:
            self.discard()
            raise store_error(error) from error
        except BaseException:
            self.discard()
            raise
        self._close()
        return location

    def discard(self) -> None:
        """Remove the file, unless the instance was finished. Never raises."""
        if not self._open:
            return
        with contextlib.suppress(OSError):  # what cannot be removed has no header, and is swept at the next start
            self._path.unlink(missing_ok=True)
        self._close()

    def read_at(self, position: int, size: int) -> bytes:
        """Bytes of the data set as written so far. Raises ValueError once it was finished or discarded."""
        if not self._open:
            raise ValueError("the instance is no longer open")
        size = max(min(size, self.length - position), 0)
        return os.pread(self._descriptor, size, tar.BLOCK + self._prefix_length + position)

    def _seal(self, receipt: Receipt) -> Location:
        length = self._prefix_length + self.length
        # The header goes first: whoever sees the file at its final size sees the member whole.
        os.pwrite(self._descriptor, tar.pack("0.dcm", length), 0)
        self._write(tar.padding(length), *tar.document("0.receipt", receipt.to_json()), tar.END_OF_ARCHIVE)
        os.fdatasync(self._descriptor)
        return Location(self._name, tar.BLOCK, length)

    def _write(self, *buffers: part10.Buffer) -> None:
        self._demand_open()
        try:
            self._free_space.take(sum(map(len, buffers)))
            self._end += write_all(self._descriptor, buffers)
            if self._end - self._writeback_from >= _WRITEBACK:
                self._writeback_from = start_writeback(self._descriptor, self._writeback_from, self._end)
        except StoreError:
            self.discard()
            raise
        except OSError as error:
            self.discard()
            raise store_error(error) from error

    def _demand_open(self) -> None:
        if not self._open:
            raise StoreFailed("the instance was finished or discarded before")

    def _close(self) -> None:
        self._open = False
        with contextlib.suppress(OSError):  # all that matters was synced, or removed
            os.close(self._descriptor)


class _Written(io.RawIOBase):
    """What has been written of a data set, as a file of its own."""

    def __init__(self, instance: StreamedInstance) -> None:
        self._instance = instance
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        found = self._instance.read_at(self._position, len(buffer))
        buffer[: len(found)] = found
        self._position += len(found)
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._instance.length}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position
