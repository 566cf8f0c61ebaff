"""What dead writers left behind that is an instance to nobody: swept at start, and when a receiving process died."""

import contextlib
import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dicomnode.store import tar
from dicomnode.store.hold import taken_over
from dicomnode.store.journal import plain
from dicomnode.store.members import members
from dicomnode.store.reading import ContainerFile, containers

_CHUNK = 1 << 20
_MAGIC, _MAGIC_AT = b"ustar\0", 257


@dataclass
class Swept:
    """`removed` held nothing complete. `kept` begins with what cannot be read, but holds receipts further on."""

    removed: list[ContainerFile] = field(default_factory=list)
    kept: list[ContainerFile] = field(default_factory=list)

    @property
    def freed(self) -> int:
        """Bytes given back."""
        return sum(container.size for container in self.removed)


class AllBut(Container[str]):
    """Every boot but one: what is alive when one journal's process has died, whoever starts meanwhile."""

    def __init__(self, boot: str) -> None:
        self._boot = boot

    def __contains__(self, boot: object) -> bool:
        return boot != self._boot


def sweep_dead(root: Path, node: str, alive_boots: Container[str] = ()) -> Swept:
    """Remove containers of this node's dead journals that hold no complete member: an instance cut while it streamed
    in, an append cut before its receipt, nothing at all.

    Dead is a journal whose `Journal.boot` is not among `alive_boots` and whose container no process holds. Torn tails
    behind complete members stay: readers stop before them. Files of other nodes, and other files, are not touched.
    Raises OSError.
    """
    own = re.compile(rf"{re.escape(plain(node))}-[A-Za-z0-9_]+-([0-9a-f]{{16}})-[0-9]{{6,}}\.tar")
    swept = Swept()
    for container in containers(root):
        path = root / container.name
        named = own.fullmatch(path.name)
        if named is None or named[1] in alive_boots:
            continue
        with contextlib.suppress(FileNotFoundError), taken_over(path) as ours:
            if not ours or next(members(root, container.name, verify=False), None) is not None:
                continue
            if holds_receipts(path):
                swept.kept.append(container)
                continue
            path.unlink()
            swept.removed.append(container)
    return swept


def holds_receipts(path: Path) -> bool:
    """Whether a whole receipt or event stands anywhere behind what stops a reader.

    A writer that dies leaves none, a damaged first block does: then senders were told that their instances are stored.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file:
        for begin in range(0, size, _CHUNK):
            chunk = os.pread(file.fileno(), _CHUNK, begin)
            if any(begin + end <= size for end in _ends_of_documents(chunk)):
                return True
    return False


def _ends_of_documents(chunk: bytes) -> Iterator[int]:
    """Where, counted from the chunk's begin, those receipts and events end whose headers lie in it."""
    found = chunk.find(_MAGIC)
    while found >= 0:
        block = found - _MAGIC_AT
        header = tar.unpack(chunk[block : block + tar.BLOCK]) if block % tar.BLOCK == 0 else None
        if header is not None and header.name.endswith((".receipt", ".event")):
            yield block + tar.BLOCK + tar.padded(header.size)
        found = chunk.find(_MAGIC, found + 1)
