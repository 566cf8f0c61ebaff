"""What receives in a measurement: a program, or several, on loopback, with a folder of its own."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from dicomnode.cli.bench.network import processes
from dicomnode.cli.common import fail
from dicomnode.cli.process import Child

SECONDS_TO_START = 90.0
_SECONDS_TO_SETTLE = 180.0
_AWAKE_SECONDS = 0.2
"""While a thread still has SIGCONT before it, Linux gives SIGTERM to another one, which need not wake the first."""
_CLEAN = {"TCP_NODELAY": "1"}
"""DCMTK's answers take 40 ms with Nagle's algorithm, whatever the receiver does: that would measure nothing else."""


class Peer(ABC):
    """One receiver. `key` names it in options and in the document, `title` says what it is."""

    key: str
    title: str
    called: str
    keeps = True
    """Whether it keeps what it receives, so that it can be counted."""
    rows: tuple[str, ...] = ()
    """The rows that it is meant for; all where empty."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    @abstractmethod
    def start(self, folder: Path) -> None:
        """Start it with everything it writes under `folder`; returns at once."""

    @abstractmethod
    def wait_ready(self) -> None:
        """Return when it receives. Raises CommandFailed."""

    @abstractmethod
    def port(self, associations: int) -> int:
        """The port for so many associations at a time."""

    @abstractmethod
    def stored(self) -> int:
        """How many instances it holds, counted where it keeps them."""

    def receivers(self) -> list[int]:
        """Process IDs of those that receive, where not all of its processes do."""
        return [process.pid for process in processes.tree(self.pids)]

    @property
    def pids(self) -> list[int]:
        return [child.pid for child in self.children]

    def settle(self, expected: int) -> float:
        """Wait until it holds `expected` instances; returns the seconds. Raises CommandFailed."""
        began = time.perf_counter()
        while (found := self.stored()) != expected:
            for child in self.children:
                child.require_alive()
            if time.perf_counter() - began > _SECONDS_TO_SETTLE or found > expected:
                fail(f"{self.title} holds {found} instances and not the {expected} that it acknowledged")
            time.sleep(0.02)
        return time.perf_counter() - began

    def freeze(self) -> None:
        """Put it to sleep: another one is measured."""
        processes.freeze(self.pids)

    def thaw(self) -> None:
        """Let it go on."""
        processes.thaw(self.pids)

    def stop(self) -> None:
        """End all its processes."""
        self.thaw()
        time.sleep(_AWAKE_SECONDS)
        for child in self.children:
            child.stop()
        self.children = []


def with_environment(*command: str | Path, variables: Mapping[str, str] = _CLEAN) -> list[str | Path]:
    """The command with environment variables of its own, under the process ID that is started."""
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in variables.items()), *command]
