"""A small ext4 that meets an error of its own and turns read-only at once, under open files: what failing disks do."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class BrittleDisk:
    """A file system of 32 MB in an image file, mounted at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._image = folder, folder.with_suffix(".img")
        with self._image.open("wb") as image:
            image.truncate(32 << 20)
        _run("/usr/sbin/mkfs.ext4", "-q", str(self._image))
        folder.mkdir()

    def mount(self) -> None:
        """Put it in its place."""
        _run("/usr/bin/mount", "-o", "loop,errors=remount-ro", str(self._image), str(self.folder))

    def unmount(self) -> None:
        """Take it away, once nobody uses it any more: what was killed ends when it is given the time."""
        deadline = time.monotonic() + 60.0
        while subprocess.run(["/usr/bin/umount", str(self.folder)], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, "somebody still uses the disk"
            time.sleep(0.1)

    def break_down(self) -> None:
        """An error of the file system: from here on every write fails with EROFS."""
        device = next(
            line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if f" {self.folder} " in line
        )
        (Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """What an administrator does: check it, and put it back."""
        self.unmount()
        done = subprocess.run(["/usr/sbin/e2fsck", "-fy", str(self._image)], capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stdout.decode()  # 1: errors were corrected
        self.mount()


@contextmanager
def brittle_disk(folder: Path) -> Iterator[BrittleDisk]:
    """A mounted one; it takes a privilege, and loop devices, to run these tests."""
    disk = BrittleDisk(folder)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["/usr/bin/umount", "--lazy", str(folder)], check=False)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"this test makes and mounts a disk, which needs the privilege to: {done.stderr.strip()}")
