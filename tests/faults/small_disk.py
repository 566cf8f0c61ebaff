"""A real small disk, and a store or a database on it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

BALLAST = "ballast"


@contextmanager
def tmpfs(folder: Path, size: str, *, inodes: int = 0) -> Iterator[Path]:
    """Mount a file system of this size, e.g. "4m", on `folder`; it takes a privilege to run these tests.

    `inodes`: so many files and folders fit on it, or as many as there is room for.
    """
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={inodes},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(f"this test mounts a small disk, which needs the privilege to: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["/usr/bin/umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> None:
    """Take all the room there is, but for `leave` bytes."""
    status = os.statvfs(disk)
    room = max(status.f_bavail * status.f_frsize - leave, 0)
    with suppress(OSError), (disk / BALLAST).open("ab") as ballast:
        os.posix_fallocate(ballast.fileno(), ballast.tell(), room)
        while leave == 0:  # what the count of blocks did not tell
            ballast.write(b"\0" * 4096)
            ballast.flush()


def make_room(disk: Path) -> None:
    """Take the ballast away again."""
    (disk / BALLAST).unlink()


def take_inodes(disk: Path) -> list[Path]:
    """Make files until no more fit."""
    taken: list[Path] = []
    with suppress(OSError):
        while True:
            taken.append(disk / f"{BALLAST}{len(taken)}")
            taken[-1].touch()
    return taken[:-1]
