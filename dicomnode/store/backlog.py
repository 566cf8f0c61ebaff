"""The backlog: instances that are stored and acknowledged but that SQL does not know yet. It is bounded."""

import threading
import time

from dicomnode.observe import BACKLOG

STALLED_SECONDS = 5.0


class Backlog:
    """Counts what the receivers stored and the index took over; safe from many threads.

    Everything in it is durable, so a restart loses nothing; the bound keeps the index from falling behind without
    anybody noticing, and tells senders the truth when the database cannot be written.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._stored = 0
        self._indexed = 0
        self._failing_since: float | None = None

    def stored(self) -> None:
        """An instance was acknowledged."""
        with self._lock:
            self._stored += 1
            BACKLOG.set(self._stored - self._indexed)

    def indexed(self, count: int) -> None:
        """The index took over that many, whatever became of the rest."""
        with self._lock:
            self._indexed += count
            BACKLOG.set(self._stored - self._indexed)

    def index_failed(self) -> None:
        """The index could not be written just now."""
        with self._lock:
            self._failing_since = self._failing_since or time.monotonic()

    def index_works(self) -> None:
        """The index took over all there was."""
        with self._lock:
            self._failing_since = None

    @property
    def size(self) -> int:
        with self._lock:
            return self._stored - self._indexed

    def refusal(self) -> str | None:
        """Why nothing more may be accepted (A700), or None."""
        with self._lock:
            if self._stored - self._indexed >= self._limit:
                return "the index is behind: too many stored instances wait for it"
            if self._failing_since is not None and time.monotonic() - self._failing_since > STALLED_SECONDS:
                return "the index cannot be written"
            return None
