"""Which containers have grown since the index last read them, among very many that never will again."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dicomnode.store.journal import CONTAINERS
from dicomnode.store.tar import END_OF_ARCHIVE

_FRESH_SECONDS = 0.1
"""A name that comes in the same tick of the file system's clock leaves the folder's time alone: list again so long."""
_LIST_SECONDS = 5.0
"""Some file systems' clocks tick in seconds, or are another machine's: list at least so often."""
_MADE = re.compile(rf"{CONTAINERS}/([A-Za-z0-9_]+)-[A-Za-z0-9_]+-[0-9a-f]{{16}}-[0-9]{{6,}}\.tar")


def maker_of(container: str) -> str:
    """The node that made a container, as it stands in its name (`journal.plain`); "" for a name that no node gives."""
    found = _MADE.fullmatch(container)
    return found[1] if found else ""


def node_of(maker: str) -> str:
    """The name of the node that a maker is: node names hold no underscores, makers no hyphens."""
    return maker.replace("_", "-")


class GrowingContainers:
    """A turn costs one look at the folder, and one at each container that may still grow.

    The folder is listed when its time says that names came or went. A container with its end-of-archive mark read never
    grows again and is never looked at again; without a mark (a crash) it stays under watch. Only containers of makers
    that it `looks_after` are looked at, which is asked at every turn.
    """

    def __init__(self, root: Path, looks_after: Callable[[str], bool] = lambda maker: True) -> None:
        self._root, self._looks_after = root, looks_after
        self._changed: int | None = None
        self._listed_at = 0.0
        self._names: set[str] = set()
        self._seen: dict[str, dict[str, int]] = {}
        """By maker and name: the size that was read."""

    def grown(self) -> Iterator[tuple[str, int]]:
        """(name as in `Location.container`, size) of each with bytes that nobody has called read, by name."""
        self._list()
        for seen in [self._seen[maker] for maker in sorted(self._seen) if self._looks_after(maker)]:
            for name in sorted(seen):
                try:
                    size = (self._root / name).stat().st_size
                except FileNotFoundError:  # retention; gone from the next listing, too
                    del seen[name]
                    continue
                if size != seen[name]:
                    yield name, size

    def read(self, name: str, size: int, offset: int) -> None:
        """All members of `name` are read, when it had `size` bytes; the last of them ends at `offset`."""
        seen = self._seen.get(maker_of(name), {})
        if self.is_closed(name, offset):
            seen.pop(name, None)
        elif name in seen:
            seen[name] = size

    def is_closed(self, name: str, offset: int) -> bool:
        """Whether the end-of-archive mark, and nothing else, stands at `offset`: its writer will never come back."""
        try:
            with (self._root / name).open("rb", buffering=0) as file:
                return os.pread(file.fileno(), len(END_OF_ARCHIVE) + 1, offset) == END_OF_ARCHIVE
        except FileNotFoundError:
            return True

    def _list(self) -> None:
        folder = self._root / CONTAINERS
        try:
            changed = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if changed == self._changed and time.monotonic() - self._listed_at < _LIST_SECONDS:
            return
        self._listed_at = time.monotonic()
        with os.scandir(folder) as entries:
            names = {f"{CONTAINERS}/{entry.name}" for entry in entries if entry.name.endswith(".tar")}
        for name in names - self._names:
            self._seen.setdefault(maker_of(name), {})[name] = -1
        for name in self._names - names:
            self._seen[maker_of(name)].pop(name, None)
        self._names = names
        self._changed = changed if time.time() - changed / 1e9 > _FRESH_SECONDS else None
