"""Where a training run lies, and what of it may stay.

    WORK/copies/   the de-identified copies, and index.json            deleted at the end
    WORK/run/      the trainer's: noise, checkpoint, samples            deleted at the end
                   losses.csv, validation.csv, curves.png               stay
    WORK/model/    NAME-VERSION.safetensors, its card, its limits       stay

Copies, noise, samples and the checkpoint hold pixels of patients or, in the checkpoint, the discriminator, which says
of an image whether it looks like those it was trained on. None of them is needed once the weights are written.
"""

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from dicomnode.cli.common import fail

_LOCK = ".training"
_STAYS = ("losses.csv", "validation.csv", "curves.png")


class WorkFolder:
    """The folder of one run, locked while anything of it runs. Use in a `with` statement.

    Raises CommandFailed where the folder holds something else, a run that goes on, or a finished model.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.copies, self.run, self.model = self.path / "copies", self.path / "run", self.path / "model"
        self._lock = -1

    @property
    def lock(self) -> int:
        """File descriptor of the lock, which the trainer's process holds too."""
        return self._lock

    def require_free(self) -> None:
        """Raises CommandFailed if a run could not begin or go on here; changes nothing."""
        if self.path.exists() and not self.path.is_dir():
            fail(f"{self.path} is not a folder; name another with --work")
        if self.path.is_dir() and any(self.path.iterdir()) and not (self.path / _LOCK).exists():
            fail(f"{self.path} holds something that is no training run; name another folder with --work")
        if self.model.exists():
            fail(f"a finished model lies in {self.model}; name another folder with --work, or delete {self.path}")

    def __enter__(self) -> Self:
        self.require_free()
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            fail(f"a training run goes on in {self.path}; let it end, or name another folder with --work")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._lock)

    def empty(self, name: str) -> Path:
        """The path of a folder that is not there: what a killed run left half done under the name is deleted."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def clear(self) -> None:
        """Delete the copies and all that holds pixels of patients or the discriminator."""
        shutil.rmtree(self.copies, ignore_errors=True)
        for path in self.run.iterdir() if self.run.is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _STAYS:
                path.unlink()
