"""The journal of a receiving process: what it acknowledged, and what happened to it, in containers of its own."""

import re
import secrets
import threading
from itertools import count
from pathlib import Path
from typing import Any

from dicomnode.domain.instance import Location, Receipt
from dicomnode.store.container import Container
from dicomnode.store.free_space import FreeSpace
from dicomnode.store.open_containers import OpenContainers
from dicomnode.store.part10 import Buffer, FileMeta
from dicomnode.store.streamed import StreamedInstance

CONTAINERS = "containers"
"""The folder under the store's root in which journals put their containers."""

_EVENTS = "events"
_GIB = 1 << 30


class Journal:
    """Appends instances and events under `root/containers`, in files named node + process + boot + serial.

    Safe to use from many threads; one process each. `boot` is drawn anew for every journal, so that no file of an
    earlier life is ever written again: a torn tail stays where it is and readers stop before it.
    """

    def __init__(
        self,
        root: Path,
        node: str,
        process: str,
        *,
        min_free_gb: float = 1.0,
        max_open: int = 64,
        max_container_bytes: int = 2 * _GIB,
        own_container_bytes: int = _GIB // 4,
        idle_seconds: float = 120.0,
    ) -> None:
        """Make the folder where needed. An instance of `own_container_bytes` or more gets a container of its own."""
        self.boot = secrets.token_hex(8)
        self._root = root
        self._stem = f"{plain(node)}-{plain(process)}-{self.boot}"
        self._serials = count(1)
        self._serials_lock = threading.Lock()
        self._own_container_bytes = own_container_bytes
        (root / CONTAINERS).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._free_space = FreeSpace(root, int(min_free_gb * _GIB))
        limits = {"max_container_bytes": max_container_bytes, "idle_seconds": idle_seconds}
        self._series = OpenContainers(self._create, max_open=max_open, **limits)  # type: ignore[arg-type]
        self._events = OpenContainers(self._create, max_open=1, **limits)  # type: ignore[arg-type]

    def append(self, receipt: Receipt, data_set: Buffer) -> Location:
        """Keep one instance for ever: `data_set` is its bytes as received, without file meta information.

        Returns once the Part 10 file and its receipt are in the file and a data sync that began after the last byte
        has finished. Raises StoreFull or StoreFailed; then nothing of the instance is left to be found.
        """
        self._free_space.take(len(data_set))
        if len(data_set) >= self._own_container_bytes:
            return self._append_alone(receipt, data_set)
        with self._series.lend(receipt.series_uid) as container:
            return container.append(receipt, data_set)

    def stream(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_aet: str
    ) -> StreamedInstance:
        """Begin an instance that is written while it arrives, into a container of its own: memory stays flat.

        Whoever begins it finishes or discards it. Raises StoreError.
        """
        file_meta = FileMeta(sop_class_uid, sop_instance_uid, transfer_syntax_uid, calling_aet)
        return StreamedInstance(self._root, self._next_name(), file_meta, self._free_space)

    def note(self, event: dict[str, Any], *, sync: bool = False, length: int = 0) -> None:
        """Write an event of this process (JSON values) for the indexer; durable on return with `sync`.

        `length`: what it takes of the free space, where that is more than next to nothing. Raises StoreError.
        """
        if length:
            self._free_space.take(length)
        with self._events.lend(_EVENTS) as container:
            container.note(event)
            if sync:
                container.sync()

    def close_idle(self) -> None:
        """Close containers that nobody has appended to for a while; appends do this by themselves."""
        self._series.close_idle()

    def close(self) -> None:
        """Sync and close every container."""
        self._series.close()
        self._events.close()

    def _append_alone(self, receipt: Receipt, data_set: Buffer) -> Location:
        container = self._create()
        try:
            return container.append(receipt, data_set)
        finally:
            container.close()

    def _create(self) -> Container:
        return Container(self._root, self._next_name())

    def _next_name(self) -> str:
        with self._serials_lock:
            serial = next(self._serials)
        return f"{CONTAINERS}/{self._stem}-{serial:06d}.tar"


def plain(word: str) -> str:
    """A word that is safe in a file name and holds no hyphen, which separates the parts of a container's name."""
    return re.sub(r"[^A-Za-z0-9_]", "_", word) or "_"
