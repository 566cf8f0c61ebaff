"""Whether a folder of pipelines was changed: by its files' names, sizes and times, never by what is in them."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dicomnode.observe import in_short, log

Stamp = frozenset[tuple[str, int, int]]
"""(path in the folder, size in bytes, modification time in ns) of each file that a pipeline may consist of."""

_SUFFIXES = (".py", ".toml", ".safetensors")


def stamp(folder: Path) -> Stamp:
    """The folder as it is now; empty if there is none. What vanishes meanwhile, or may not be read, is passed over.

    Raises OSError where a folder cannot be listed for another reason. Whoever asks then goes by the stamp of before: a
    share that does not answer is no folder without pipelines.
    """
    found = []
    for parent, _, names in os.walk(folder, onerror=_pass_over):
        for path in (Path(parent, name) for name in names):
            if path.suffix in _SUFFIXES:
                with suppress(OSError):
                    status = path.stat()
                    found.append((str(path.relative_to(folder)), status.st_size, status.st_mtime_ns))
    return frozenset(found)


class Watch:
    """Looks at a folder time and again. Raises OSError when it is made; later a folder that cannot be listed is as it
    was, which is said once."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stamp, self._away = folder, stamp(folder), False
        self._failed: Stamp | None = None
        """As which `act` last failed; None once it went through."""

    def on_change(self, act: Callable[[], None]) -> None:
        """Call `act` where the folder is another than when `act` last went through.

        What that raises is logged, once for each state of the folder, and holds nobody up: the next look tries again.
        """
        try:
            now = stamp(self._folder)
        except OSError as error:
            if not self._away:
                log.warning("the folder of pipelines cannot be looked at; those that were read stay", error=str(error))
            self._away = True
            return
        self._away = False
        if now != self._stamp:
            self._try(act, now)

    def _try(self, act: Callable[[], None], now: Stamp) -> None:
        try:
            act()
        except Exception as error:
            if now != self._failed:
                log.error("the pipelines cannot be read again; those that were read stay", error=in_short(error))
            self._failed = now
        else:
            self._stamp, self._failed = now, None


def _pass_over(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError):
        raise error
