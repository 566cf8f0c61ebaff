"""A wall clock that jumps, for all processes of a node. Monotonic clocks go on, as they do when a real one jumps."""

import shutil
import struct
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """`env` is for the processes whose clock it is; `folder` is where it is built and kept."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.fail("this test needs a C compiler: install Debian's gcc")
        library, self._file = folder / "wallclock.so", folder / "wallclock"
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(SOURCE)]
        subprocess.run(command, check=True)
        self._file.write_bytes(bytes(8))
        self.env = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(self._file)}

    def set(self, apart: timedelta) -> None:
        """From now on it is so far from the true one."""
        with self._file.open("r+b", buffering=0) as file:  # in place: processes have it mapped
            file.write(struct.pack("=q", int(apart.total_seconds())))
