"""How many associations may be open at once."""

import threading
from typing import Protocol


class Slots(Protocol):
    """Places for open associations, shared by all receiving processes. Safe to use from many threads."""

    def take(self) -> int | None:
        """A free slot, or None: the answer is A-ASSOCIATE-RJ 2, 3, 2 (transient, local limit: PS3.8 9.3.4)."""

    def free(self, slot: int) -> None:
        """Give a taken slot back, once."""

    def is_crowded(self) -> bool:
        """Whether another process has fewer associations open, and should take the next connection."""


class LocalSlots:
    """The slots of a receiver that runs by itself."""

    def __init__(self, count: int) -> None:
        self._free = list(reversed(range(count)))
        self._lock = threading.Lock()

    def take(self) -> int | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def free(self, slot: int) -> None:
        with self._lock:
            self._free.append(slot)

    def is_crowded(self) -> bool:
        return False
