"""What processes take of a machine, as /proc tells: memory, descriptors, threads. And who descends from whom."""

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

MIB = 1 << 20
_CONTAINERS = "/containers/"


def resident(pid: int, *, peak: bool = False) -> int:
    """Resident set in bytes, now or at its largest since `forget_peak`; 0 if the process ended."""
    name = "VmHWM:" if peak else "VmRSS:"
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak(pid: int) -> None:
    """Count the peak from here on (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def descendants(pid: int) -> list[int]:
    """Process IDs of all that descend from a process."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += [int(child), *descendants(int(child))]
    return found


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


@dataclass(frozen=True)
class Footprint:
    """Of some processes together. Open containers of a store do not count: that cache has a bound of its own."""

    descriptors: int
    threads: int

    @classmethod
    def of(cls, pids: Iterable[int]) -> "Footprint":
        """Count now; a process that ended counts nothing."""
        descriptors = threads = 0
        for pid in pids:
            with contextlib.suppress(OSError):
                descriptors += sum(_CONTAINERS not in _target(link) for link in Path(f"/proc/{pid}/fd").iterdir())
                threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
        return cls(descriptors, threads)

    def within(self, other: "Footprint", spare: int) -> bool:
        """Whether this is no more than another, give or take."""
        return self.descriptors <= other.descriptors + spare and self.threads <= other.threads + spare

    def __str__(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads"


class MemoryWatch:
    """How far the processes of `pids()` grow while the `with` block runs, by the kernel's own counting of peaks.

    A process that comes later counts from the least that one of the first had: a forked child has its parent's memory.
    """

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._before: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._peaks: dict[int, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def growth(self) -> int:
        """Of the process that grew most, in bytes."""
        self._look()
        return max(peak - self._before[pid] for pid, peak in self._peaks.items())

    def peak(self) -> int:
        """Of the largest process, in bytes."""
        self._look()
        return max(self._peaks.values())

    def _watch(self) -> None:
        while not self._ending.wait(0.25):
            self._look()

    def _look(self) -> None:
        for pid in {*self._pids(), *self._before}:
            if pid not in self._before:
                self._before[pid] = min(self._first.values()) if self._first else resident(pid)
                with contextlib.suppress(OSError):
                    forget_peak(pid)
            self._peaks[pid] = max(self._peaks.get(pid, 0), resident(pid, peak=True))

    def __enter__(self) -> Self:
        self._look()
        self._first = dict(self._before)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
