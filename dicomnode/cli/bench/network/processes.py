"""A program and all that it started, as /proc tells it: processor seconds, memory, sleep."""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One line of the process table. `cpu` in seconds: its own, and that of the children it has waited for."""

    pid: int
    parent: int
    state: str
    cpu: float


def stat(text: str) -> Process:
    """What /proc/PID/stat says (proc(5)); the command's name, in brackets, may hold anything."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    return Process(int(pid), int(fields[1]), fields[0], sum(map(int, fields[11:15])) / _TICKS)


def tree(roots: Iterable[int]) -> list[Process]:
    """The processes `roots` and all their descendants, zombies too; those that have ended are left out."""
    everyone = list(_everyone())
    found = {process.pid: process for process in everyone if process.pid in set(roots)}
    grown = True
    while grown:
        young = {each.pid: each for each in everyone if each.parent in found and each.pid not in found}
        found |= young
        grown = bool(young)
    return list(found.values())


def cpu_seconds(roots: Iterable[int]) -> float:
    """Processor seconds of the whole tree so far, ended children included once they were waited for."""
    return sum(process.cpu for process in tree(roots))


def forget_peaks(roots: Iterable[int]) -> None:
    """Set every peak of resident memory back to what is resident now (proc(5), clear_refs)."""
    for process in tree(roots):
        with contextlib.suppress(OSError):
            (_PROC / str(process.pid) / "clear_refs").write_text("5")


def peaks(roots: Iterable[int]) -> dict[int, float]:
    """Peak resident memory in MiB, by process ID."""
    found = {}
    for process in tree(roots):
        with contextlib.suppress(OSError):
            _, peak, behind = (_PROC / str(process.pid) / "status").read_text().partition("VmHWM:")
            if peak:  # a zombie has none
                found[process.pid] = int(behind.split(maxsplit=1)[0]) / 1024
    return found


def command(pid: int) -> str:
    """Its command line; empty once it has ended."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def freeze(roots: Iterable[int]) -> None:
    """SIGSTOP to the tree: what is not measured must not disturb what is."""
    _signal(roots, signal.SIGSTOP)


def thaw(roots: Iterable[int]) -> None:
    """SIGCONT to the tree."""
    _signal(roots, signal.SIGCONT)


def _signal(roots: Iterable[int], number: signal.Signals) -> None:
    for process in tree(roots):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _everyone() -> Iterator[Process]:
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield stat((entry / "stat").read_text(errors="replace"))
