"""One open container: appends are serialised, data syncs are shared by all who wait (group commit)."""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import part10, tar
from dicomnode.store.errors import StoreError, StoreFailed, StoreFull
from dicomnode.store.hashing import Hashing
from dicomnode.store.hold import hold
from dicomnode.store.writeback import start_writeback

_OVERLAP = 256 << 10
"""From this length on it pays to set the disk to work before the hash is known."""

_HASHING = Hashing()

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of the file system that room would mend."""


def store_error(error: OSError) -> StoreError:
    """The store's own word for an error of the file system: out of room, or failed."""
    kind = StoreFull if error.errno in NO_ROOM else StoreFailed
    return kind(os.strerror(error.errno or 0))


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_new(path: Path, flags: int) -> int:
    """Create a file for its owner alone, make its name durable, and hold it while it is open. Raises StoreError."""
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise store_error(error) from error
    try:
        sync_directory(path.parent)
    except OSError as error:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise store_error(error) from error
    hold(descriptor)
    if os.fstat(descriptor).st_nlink == 0:
        os.close(descriptor)
        raise StoreFailed("the container was removed while it was made")
    return descriptor


def write_all(descriptor: int, buffers: Sequence[part10.Buffer]) -> int:
    """Write every byte of the buffers, without joining them; returns their number. Raises OSError."""
    left = [memoryview(buffer) for buffer in buffers if len(buffer)]
    total = sum(map(len, left))
    while left:
        written = os.writev(descriptor, left)
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if written:
            left[0] = left[0][written:]
    return total


class Container:
    """A tar that grows at its end, by one process, and is never opened for writing again once closed.

    Once a sync or a clean-up fails nothing more is accepted: after a failed fdatasync the kernel may report success
    for pages that it dropped, so a retry proves nothing.
    """

    def __init__(self, root: Path, name: str) -> None:
        """Create `root/name` and make its name durable. Raises StoreError."""
        self.name = name
        self._writing = threading.Lock()
        self._state = threading.Condition()
        self._end = 0
        self._durable = 0
        self._members = 0
        self._syncing = False
        self._failure: str | None = None
        self._descriptor = open_new(root / name, os.O_WRONLY | os.O_APPEND)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._end

    @property
    def failed(self) -> bool:
        """True once this container is closed for ever."""
        return self._failure is not None

    def append(self, receipt: Receipt, data_set: part10.Buffer) -> Location:
        """Write one instance and its receipt; returns after a data sync that began after their last byte.

        A receipt without `sha256` gets it here, while core and disk are at work on the rest. Raises StoreFull or
        StoreFailed; then nothing of the instance is left to be found.
        """
        if receipt.sha256 or len(data_set) < _OVERLAP or self._writing.locked():  # nothing to gain, or others wait
            return self._append(part10.attest(receipt, data_set), data_set, None)
        sha256 = _HASHING.begin(data_set, receipt.transfer_syntax_uid)
        try:
            return self._append(receipt, data_set, sha256)
        finally:
            if sha256 is not None:
                wait([sha256])  # the caller may use the buffer again: nobody must still be reading it

    def _append(self, receipt: Receipt, data_set: part10.Buffer, sha256: "Future[str] | None") -> Location:
        prefix = part10.prefix(receipt)
        length = len(prefix) + len(data_set)
        if length > tar.MAX_MEMBER_BYTES:
            raise StoreFull(tar.TOO_LARGE)
        with self._writing:
            number, start = self._members, self._end
            body = (tar.pack(f"{number}.dcm", length), prefix, data_set, tar.padding(length))

            def seal() -> Sequence[part10.Buffer]:
                known = replace(receipt, sha256=sha256.result()) if sha256 else part10.attest(receipt, data_set)
                return tar.document(f"{number}.receipt", known.to_json())

            if receipt.sha256:
                self._write((*body, *seal()))
            else:
                self._write(body, seal)
            end = self._end
        self._sync_to(end)
        return Location(self.name, start + tar.BLOCK, length)

    def note(self, event: dict[str, Any]) -> None:
        """Write one event; it becomes durable with the next sync. Raises StoreError."""
        with self._writing:
            self._write(tar.document(f"{self._members}.event", event))

    def sync(self) -> None:
        """Make all that was written durable. Raises StoreFailed."""
        self._sync_to(self._end)

    def close(self) -> None:
        """Sync, mark the end of the archive where that is still possible, and close. Never raises."""
        try:
            with contextlib.suppress(OSError, StoreError):  # readers stop at the last complete member in any case
                self.sync()
                write_all(self._descriptor, (tar.END_OF_ARCHIVE,))
        finally:
            os.close(self._descriptor)

    def _write(
        self, buffers: Sequence[part10.Buffer], seal: Callable[[], Sequence[part10.Buffer]] | None = None
    ) -> None:
        """Append under `_writing`: wholly, or not at all. The disk begins to write while `seal` is worked out."""
        if self._failure is not None:
            raise StoreFailed(self._failure)
        try:
            written = write_all(self._descriptor, buffers)
            if seal is not None:
                start_writeback(self._descriptor, self._end, self._end + written)
                written += write_all(self._descriptor, seal())
        except OSError as error:
            self._take_back()
            raise store_error(error) from error
        with self._state:
            self._end += written
            self._members += 1

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError as error:
            with self._state:
                self._failure = f"a torn write could not be taken back: {os.strerror(error.errno or 0)}"
                self._state.notify_all()

    def _sync_to(self, end: int) -> None:
        with self._state:
            while self._syncing and self._durable < end and self._failure is None:
                self._state.wait()
            if self._durable >= end:
                return
            if self._failure is not None:
                raise StoreFailed(self._failure)
            self._syncing = True
            target = self._end
        self._lead_sync(target)

    def _lead_sync(self, target: int) -> None:
        """Sync for all who wait: every byte before `target` was written before this begins."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._fail(f"a data sync failed: {os.strerror(error.errno or 0)}")
            raise StoreFailed(self._failure) from error
        with self._state:
            self._syncing = False
            self._durable = max(self._durable, target)
            self._state.notify_all()

    def _fail(self, reason: str) -> None:
        with self._writing:  # an append under way ends first, so that what follows takes back its bytes too
            with self._state:
                self._failure = reason
                self._syncing = False
                self._state.notify_all()
            # Where this fails too: none of the bytes behind were acknowledged, and a reader may keep them all the same.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._durable)
