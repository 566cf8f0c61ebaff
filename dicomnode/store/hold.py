"""A container's hold: whoever writes it has a lock on it until its descriptor closes, however the process ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


def hold(descriptor: int) -> None:
    """Say that this process writes the file, for as long as the descriptor is open.

    Waits for whoever has taken it over, and may have removed it by then: look at its number of links. A file system
    without locks refuses; there nobody can take over (`taken_over`), so that is no harm.
    """
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def taken_over(path: Path) -> Iterator[bool]:
    """Whether nobody writes the file, and nobody will within the block: containers are never opened for writing again.

    Raises FileNotFoundError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
