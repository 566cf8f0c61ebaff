"""Giving back the disk: containers in which nothing is kept any more are unlinked, never rewritten."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dicomnode.store.hold import taken_over
from dicomnode.store.members import members


@dataclass
class Removed:
    """What became of containers that nothing is kept in: the names of those that are gone, and bytes."""

    names: list[str] = field(default_factory=list)
    freed: int = 0
    waiting: int = 0
    """Bytes of those that a process still writes, or that the index has not read to their end."""


def remove_containers(root: Path, indexed_to: Mapping[str, int], seconds: float = 0.0) -> Removed:
    """Unlink these containers; those of them that are not finished with have to wait.

    A container is finished with when no process writes it, nothing was written to it for `seconds`, and the index has
    read all that is in it. What is no longer there counts as removed: a crash came before the index heard of it.
    Raises OSError.
    """
    removed = Removed()
    for name, offset in indexed_to.items():
        path = root / name
        try:
            with taken_over(path) as ours:
                status = path.stat()
                young = time.time() - status.st_mtime < seconds
                if not ours or young or not is_indexed(root, name, offset):
                    removed.waiting += status.st_size
                    continue
                path.unlink()
                removed.freed += status.st_size
        except FileNotFoundError:
            pass
        removed.names.append(name)
    return removed


def is_indexed(root: Path, name: str, offset: int) -> bool:
    """Whether nothing complete lies behind `offset`: all that a reader will ever find there has been found."""
    return next(members(root, name, offset, verify=False), None) is None
