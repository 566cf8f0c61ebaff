"""The low-water mark of the store's file system."""

import os
import threading
import time
from pathlib import Path

from dicomnode.store.errors import StoreFull

_LOOK_AGAIN_SECONDS = 1.0


class FreeSpace:
    """Refuses what would take the free space below the mark; a mark of 0 leaves it to the file system to say no.

    Looks at the file system once a second, and before it refuses.
    """

    def __init__(self, directory: Path, minimum_bytes: int) -> None:
        self._directory = directory
        self._minimum = minimum_bytes
        self._lock = threading.Lock()
        self._free = 0
        self._looked_at = float("-inf")

    def take(self, length: int) -> None:
        """Count `length` bytes that are about to be written. Raises StoreFull if they would pass the mark."""
        if self._minimum <= 0:
            return
        with self._lock:
            if time.monotonic() - self._looked_at > _LOOK_AGAIN_SECONDS or self._free - length < self._minimum:
                self._look()
            if self._free - length < self._minimum:
                raise StoreFull(f"free space is below the low-water mark of {self._minimum} bytes")
            self._free -= length

    def _look(self) -> None:
        status = os.statvfs(self._directory)
        self._free = status.f_bavail * status.f_frsize
        self._looked_at = time.monotonic()
