"""The containers that are open for appending: one per key, the least recently used closed first."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dicomnode.store.container import Container


@dataclass
class _Open:
    container: Container
    users: int = 0
    last_used: float = 0.0
    retired: bool = False


class OpenContainers:
    """Lends containers by key; closes those that failed, are full, idle or too many, once nobody uses them."""

    def __init__(
        self, create: Callable[[], Container], *, max_open: int, max_container_bytes: int, idle_seconds: float
    ) -> None:
        self._create = create
        self._max_open = max_open
        self._max_container_bytes = max_container_bytes
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._open: OrderedDict[str, _Open] = OrderedDict()

    @contextmanager
    def lend(self, key: str) -> Iterator[Container]:
        """The open container of this key, or a new one; it stays open for the length of the block."""
        opened = self._take(key)
        try:
            yield opened.container
        finally:
            self._give_back(key, opened)

    def close_idle(self) -> None:
        """Close what nobody has used for `idle_seconds`."""
        oldest = time.monotonic() - self._idle_seconds
        self._retire(lambda opened: opened.last_used < oldest)

    def close(self) -> None:
        """Close all; those that are lent are closed when they come back."""
        self._retire(lambda opened: True)

    def _take(self, key: str) -> _Open:
        with self._lock:
            opened = self._open.get(key)
            if opened is None:
                opened = self._open[key] = _Open(self._create())
            opened.users += 1
            opened.last_used = time.monotonic()
            self._open.move_to_end(key)
            oldest = next(iter(self._open.values())).last_used
            surplus = len(self._open) > self._max_open
        if surplus:
            self._close_surplus()
        if oldest < opened.last_used - self._idle_seconds:
            self.close_idle()
        return opened

    def _give_back(self, key: str, opened: _Open) -> None:
        with self._lock:
            opened.users -= 1
            full = opened.container.failed or opened.container.size >= self._max_container_bytes
            if full and self._open.get(key) is opened:
                del self._open[key]
                opened.retired = True
            last = opened.retired and opened.users == 0
        if last:
            opened.container.close()

    def _close_surplus(self) -> None:
        with self._lock:
            surplus = max(len(self._open) - self._max_open, 0)
            keys = [key for key, opened in self._open.items() if opened.users == 0][:surplus]
            unused = [self._open.pop(key) for key in keys]
        for opened in unused:
            opened.container.close()

    def _retire(self, condition: Callable[[_Open], bool]) -> None:
        with self._lock:
            keys = [key for key, opened in self._open.items() if condition(opened)]
            retired = [self._open.pop(key) for key in keys]
            for opened in retired:
                opened.retired = True
            unused = [opened for opened in retired if opened.users == 0]
        for opened in unused:
            opened.container.close()
