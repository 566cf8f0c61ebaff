"""Where all peers put what they receive: one folder on one file system, whose type is told."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dicomnode.cli.common import fail

_IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")


def file_system(folder: Path, table: str | None = None) -> str:
    """Type of the file system that holds `folder`, from /proc/self/mountinfo (proc(5)); "unknown" without a mount."""
    table = Path("/proc/self/mountinfo").read_text() if table is None else table
    whole = folder.resolve()
    found = (Path("/"), "unknown")
    for line in table.splitlines():
        fields, _, behind = line.partition(" - ")
        point = Path(_unescaped(fields.split()[4]))
        if whole.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, behind.split()[0])  # a later mount over the same point hides the earlier one
    return found[1]


def in_memory(kind: str) -> bool:
    """Whether nothing on such a file system ever reaches a disk: a data sync costs nothing there."""
    return kind in _IN_MEMORY


@contextmanager
def working_folder(parent: Path | None, allow_tmpfs: bool) -> Iterator[tuple[Path, str]]:
    """A folder to work in, removed at the end, and the type of its file system. Raises CommandFailed."""
    parent = parent or Path(os.environ.get("TMPDIR") or Path.cwd())
    if not parent.is_dir():
        fail(f"there is no folder {parent}")
    kind = file_system(parent)
    if in_memory(kind) and not allow_tmpfs:
        fail(f"{parent} is on {kind}, which is memory: name a folder on a disk (--dir), or say --allow-tmpfs")
    try:
        made = TemporaryDirectory(prefix="dicomnode-bench-", dir=parent)
    except OSError as error:
        fail(f"cannot work in {parent}: {error.strerror}")
    with made as folder:
        yield Path(folder).resolve(), kind


def _unescaped(point: str) -> str:
    return re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), point)
