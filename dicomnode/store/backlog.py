"""The backlog: instances that are stored and acknowledged but that SQL does not know yet. It is bounded."""

import threading
import time
from typing import Protocol

STALLED_SECONDS = 5.0


class Figures(Protocol):
    """What the backlog is made of; receiving processes write the first, the node the others."""

    @property
    def acknowledged(self) -> int:
        """Instances acknowledged since the node started. Only grows."""

    indexed: int
    """Of these, how many the index took over."""

    failing_since: float | None
    """Since when the index cannot be written (monotonic clock, seconds)."""


class Taken(Protocol):
    """What a run of the index has done so far; it counts while others look."""

    instances: int


class Backlog:
    """The bound: receiving processes ask it before each instance, the node's index tells it of each run.

    Everything in it is durable, so a restart loses nothing; the bound keeps the index from falling behind without
    anybody noticing, and tells senders the truth when the database cannot be written. It follows from figures alone,
    so that it holds while the node is busy.
    """

    def __init__(self, figures: Figures, limit: int) -> None:
        self._figures, self._limit = figures, limit
        self._lock = threading.Lock()
        self._run: Taken | None = None
        self._acknowledged_before = self._indexed_before = 0

    @property
    def size(self) -> int:
        """Never negative: a process may be killed between an instance's last byte and its counting."""
        return max(0, self._figures.acknowledged - self._figures.indexed)

    def refusal(self) -> str | None:
        """Why nothing more may be accepted (A700), or None."""
        if self.size >= self._limit:
            return "the index is behind: too many stored instances wait for it"
        since = self._figures.failing_since
        if since is not None and time.monotonic() - since > STALLED_SECONDS:
            return "the index cannot be written"
        return None

    def run_begins(self, run: Taken) -> None:
        """The index is about to read the containers from where it stopped, and counts in `run`."""
        with self._lock:
            self._run = run
            self._acknowledged_before, self._indexed_before = self._figures.acknowledged, self._figures.indexed

    def progressed(self) -> None:
        """Look how far the run has come. From any thread: a run may take long, and senders wait."""
        with self._lock:
            if self._run is not None:
                indexed = min(self._indexed_before + self._run.instances, self._figures.acknowledged)
                self._figures.indexed = max(indexed, self._figures.indexed)

    def run_failed(self) -> None:
        """The index could not be written."""
        self.progressed()
        with self._lock:
            self._run = None
        self._figures.failing_since = self._figures.failing_since or time.monotonic()

    def run_ended(self) -> None:
        """The index took over all there was.

        Whatever was counted, all that had been acknowledged before the run is done with: a copy that turned out to be
        damaged is no instance, and one whose process died before it counted is one too many.
        """
        self.progressed()
        with self._lock:
            self._figures.indexed = max(self._acknowledged_before, self._figures.indexed)
            self._run = None
        self._figures.failing_since = None
