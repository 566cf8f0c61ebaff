"""Who writes for a node under a store's root: receiving processes that outlived it, for the moment that takes them."""

import fcntl
import os
import time
from pathlib import Path

_FILE = "receivers-{node}.lock"
_LOOK_AGAIN_SECONDS = 0.02


class StillThere(Exception):
    """Receiving processes of an earlier node do not end."""


class Tenancy:
    """A file under the root that each receiving process has locked from its birth to its death, however it dies.

    The lock belongs to an open file that the process inherits: there is no moment in which it runs without.
    """

    def __init__(self, root: Path, node: str) -> None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = root / _FILE.format(node=node)

    def wait_until_empty(self, seconds: float) -> None:
        """Return once no receiving process is left. Raises StillThere after that long."""
        descriptor = self._open()
        try:
            deadline = time.monotonic() + seconds
            while not _lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise StillThere(f"receiving processes of an earlier node still run after {seconds:g} s")
                time.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            os.close(descriptor)

    def share(self) -> int:
        """A descriptor to hand to a receiving process; the caller closes its own."""
        descriptor = self._open()
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
