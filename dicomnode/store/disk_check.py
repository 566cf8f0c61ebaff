"""What the file system under the store is: its type, its room, who may read it."""

import os
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

UNFIT = {
    "tmpfs": "it is memory: everything is lost at a restart",
    "ramfs": "it is memory: everything is lost at a restart",
    "overlay": "it goes away with its container: mount a volume there",
    "nfs": "its locks and syncs depend on the server: use a local disk",
    "nfs4": "its locks and syncs depend on the server: use a local disk",
    "cifs": "its locks and syncs depend on the server: use a local disk",
    "vfat": "it has neither permissions nor a journal: use ext4 or xfs",
}
"""Types of file systems that a store should not lie on, and why."""


def free_bytes(directory: Path) -> int:
    """Bytes that may still be written under this directory. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def free_inodes(directory: Path) -> int | None:
    """Files that may still be made; None where the file system does not count them. Raises OSError."""
    status = os.statvfs(directory)
    return status.f_favail if status.f_files else None


def file_system(directory: Path) -> str:
    """Type of the file system that a directory lies on, such as "ext4"; empty where the kernel does not say."""
    if not MOUNTS.is_file():
        return ""
    best, found = -1, ""
    for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
        fields, _, rest = line.partition(" - ")
        point = Path(_unescaped(fields.split(" ")[4]))
        if directory.resolve().is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), rest.split(" ")[0]
    return found


def open_to_others(directory: Path) -> bool:
    """Whether other users of the machine may look into the directory. Raises OSError."""
    return bool(directory.stat().st_mode & 0o077)


def _unescaped(point: str) -> str:
    """A mount point as proc(5) writes it: blanks in octal."""
    return point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
