"""Headers of stored instances for the index: the few fields that it keeps, or all that pydicom makes of them."""

import os
from pathlib import Path
from types import TracebackType

from pydicom import Dataset

from dicomnode.domain.instance import Location, Receipt
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.index_fields import Fields, of_header, of_scanned
from dicomnode.store.reading import read_header
from dicomnode.store.scan import scan

_READ_BYTES = (32 << 10, 1 << 20)
"""What is read of a data set to scan it: one image's header has 4 to 10 KB, that of many frames some hundred."""


class Headers:
    """Reads headers out of a store's containers; keeps the container open that it read last. Not for many threads."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._container = ""
        self._descriptor = -1

    def __enter__(self) -> "Headers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def fields(self, location: Location, receipt: Receipt) -> Fields:
        """What the index keeps of this instance. Raises OSError, EOFError; empty where the header cannot be read."""
        begin = location.offset + location.length - receipt.length
        for size in _READ_BYTES:
            head = self._read(location.container, begin, min(size, receipt.length))
            scanned = scan(head, receipt.transfer_syntax_uid)
            if scanned is not None and (scanned.length < len(head) or len(head) == receipt.length):
                return of_scanned(scanned) or of_header(self.header(location))
            if len(head) == receipt.length:
                break
        return of_header(self.header(location))

    def has(self, location: Location) -> bool:
        """Whether the container is there and reaches as far: a writer whose sync failed took back what came last."""
        try:
            return (self._root / location.container).stat().st_size >= location.offset + location.length
        except FileNotFoundError:
            return False

    def header(self, location: Location) -> Dataset:
        """The receiver refuses what cannot be read; should it slip through, an empty header still gets its row.

        Raises OSError, EOFError.
        """
        try:
            return read_header(self._root, location)
        except UnreadableHeader:
            return Dataset()

    def _read(self, container: str, begin: int, size: int) -> bytes:
        if container != self._container:
            self._close()
            self._descriptor = os.open(self._root / container, os.O_RDONLY | os.O_CLOEXEC)
            self._container = container
        return os.pread(self._descriptor, size, begin)

    def _close(self) -> None:
        if self._container:
            os.close(self._descriptor)
            self._container = ""
