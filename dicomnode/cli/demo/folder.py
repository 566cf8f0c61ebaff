"""Where a demonstration lies. Its lock is held for as long as anything of it runs, also what `--keep` left running."""

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomnode.cli.common import fail

_LOCK = ".demo"
_PARTS = ("node", "pacs", "series")


class DemoFolder:
    """An output folder, emptied of what an earlier demonstration left and locked. Use in a `with` statement.

    Raises CommandFailed where the folder holds something else, or a demonstration that still runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock = -1

    @property
    def lock(self) -> int:
        """File descriptor of the lock, for children that may outlive this process."""
        return self._lock

    @property
    def node(self) -> Path:
        return self.path / "node"

    @property
    def pacs(self) -> Path:
        return self.path / "pacs"

    @property
    def series(self) -> Path:
        return self.path / "series"

    @property
    def picture(self) -> Path:
        return self.path / "before-after.png"

    def note_pids(self, pids: list[int]) -> None:
        """For the one who finds the folder locked."""
        (self.path / _LOCK).write_text(" ".join(map(str, pids)), encoding="ascii")

    def __enter__(self) -> Self:
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / _LOCK).exists():
            fail(f"{self.path} holds something that is no demonstration; name another folder with --out")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pids = (self.path / _LOCK).read_text(encoding="ascii").strip()
            os.close(self._lock)
            stop = f"stop it (kill {pids})" if pids else "let it end"
            fail(f"a demonstration still runs in {self.path}: {stop}, or name another folder with --out")
        os.ftruncate(self._lock, 0)
        for part in _PARTS:
            shutil.rmtree(self.path / part, ignore_errors=True)
        self.picture.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)
