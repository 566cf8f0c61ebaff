"""The board: shared memory in which a node's processes tell each other how they are, at the cost of memory reads.

The node makes it and its receiving processes inherit it by descriptor. It holds cells of 8 bytes, and behind them one
byte for each association slot:

    one cell for each name of `NODE_CELLS`                 written by the node
    per receiving process, one for each of `PROCESS_CELLS`  written by that process; by the node once it is dead
    `slots` bytes: 0, or the number of the process that took it, counted from 1

A cell is written and read in one access of the machine, so that nobody sees half a number. Slots are taken under a
record lock of the kernel, which dies with its holder.
"""

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum

from dicomnode.receive.statuses import Status

OUTCOMES = ("opened", "rejected", "released", "aborted", "lost")
"""What is counted of associations; the last three are the ways in which an opened one ends."""

ENDED = OUTCOMES[2:]
STATUSES = tuple(f"status {status.code}" for status in Status)

NODE_CELLS = ("indexed", "failing since", "node waits")
"""Instances that the index took over; since when it cannot be written (ns of the monotonic clock, 0: it can); whether
the node waits for the bell."""

PROCESS_CELLS = ("boot", "state", "changes", "received bytes", *OUTCOMES, *STATUSES)
"""The boot of its journal; a `State`; how often it changed anything here; then what it counted since the node began."""

_CELL_BYTES = 8
MAX_PROCESSES = 255


class State(IntEnum):
    """What a receiving process says of itself."""

    ABSENT = 0
    SERVING = 1
    DRAINING = 2
    ENDED = 3
    """Its associations have ended and its containers are closed."""


@dataclass(frozen=True)
class BoardPlace:
    """What a child needs to find the board: two inherited descriptors, and the size."""

    memory: int
    bell: int
    processes: int
    slots: int


class Board:
    """One mapping of the board. Safe to use from many threads, as long as each cell has one writer at a time."""

    def __init__(self, place: BoardPlace) -> None:
        self.place = place
        self.processes = place.processes
        self._slots_at = _CELL_BYTES * (len(NODE_CELLS) + place.processes * len(PROCESS_CELLS))
        self._map = mmap.mmap(place.memory, self._slots_at + place.slots)
        self._cells = memoryview(self._map)[: self._slots_at].cast("Q")
        self._threads = threading.Lock()

    @classmethod
    def create(cls, processes: int, slots: int) -> "Board":
        """A new board, all zero."""
        if not 1 <= processes <= MAX_PROCESSES:
            raise ValueError(f"a board has room for 1 to {MAX_PROCESSES} processes")
        memory = os.memfd_create("dicomnode-board", os.MFD_CLOEXEC)
        bell = os.eventfd(0, os.EFD_CLOEXEC)
        os.ftruncate(memory, _CELL_BYTES * (len(NODE_CELLS) + processes * len(PROCESS_CELLS)) + slots)
        return cls(BoardPlace(memory, bell, processes, slots))

    def close(self) -> None:
        """Let go of the memory; whoever else has it keeps it."""
        self._cells.release()
        self._map.close()
        os.close(self.place.memory)
        os.close(self.place.bell)

    def get(self, name: str) -> int:
        """A cell of the node."""
        return self._cells[_NODE[name]]

    def set(self, name: str, value: int) -> None:
        """Write a cell of the node."""
        self._cells[_NODE[name]] = value

    def row(self, process: int) -> "Row":
        """The cells of a receiving process, counted from 0."""
        if not 0 <= process < self.processes:
            raise IndexError(process)
        return Row(self._cells, len(NODE_CELLS) + process * len(PROCESS_CELLS))

    def rows(self) -> list["Row"]:
        """The cells of all receiving processes."""
        return [self.row(process) for process in range(self.processes)]

    def take_slot(self, process: int) -> int | None:
        """A free slot for this process, or None."""
        with self._locked():
            at = self._map.find(b"\0", self._slots_at)
            if at < 0:
                return None
            self._map[at] = process + 1
            return at - self._slots_at

    def free_slot(self, process: int, slot: int) -> None:
        """Give back what this process took."""
        at = self._slots_at + slot
        if self._map[at] == process + 1:  # else it was given back already, and may be another's by now
            self._map[at] = 0

    def clear_slots(self, process: int) -> None:
        """Give back all that a process took which is no more."""
        with self._locked():
            taken = self._map[self._slots_at :]
            self._map[self._slots_at :] = taken.replace(bytes([process + 1]), b"\0")

    def slots_taken(self) -> int:
        """How many associations have a slot, over all processes."""
        taken = self._map[self._slots_at :]
        return len(taken) - taken.count(0)

    def is_crowded(self, process: int) -> bool:
        """Whether another process has fewer associations open than this one."""
        taken = self._map[self._slots_at :]
        mine = taken.count(process + 1)
        return mine > 0 and any(taken.count(other + 1) < mine for other in range(self.processes))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among all processes and threads: the kernel's record locks know processes only."""
        with self._threads:
            fcntl.lockf(self.place.memory, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self.place.memory, fcntl.LOCK_UN)


class Row:
    """One process's cells by name; it has one writer."""

    def __init__(self, cells: "memoryview[int]", begin: int) -> None:
        self._cells, self._begin = cells, begin

    def get(self, name: str) -> int:
        return self._cells[self._begin + _PROCESS[name]]

    def set(self, name: str, value: int) -> None:
        self._cells[self._begin + _PROCESS[name]] = value

    def add(self, name: str, count: int = 1) -> None:
        self._cells[self._begin + _PROCESS[name]] += count


_NODE = {name: place for place, name in enumerate(NODE_CELLS)}
_PROCESS = {name: place for place, name in enumerate(PROCESS_CELLS)}
