"""What is counted on the board: each process adds to its own row, the node reads the sums."""

import os
import threading

from dicomnode.receive.board import ENDED, Board, Row, State
from dicomnode.receive.statuses import Status

_STATUS_CELL = {status: f"status {status.code}" for status in Status}
_SUCCESS = _STATUS_CELL[Status.SUCCESS]


class ProcessTally:
    """The meter of a receiving process, which also rings the node's bell. Safe to use from many threads."""

    def __init__(self, board: Board, process: int) -> None:
        self._board, self._row = board, board.row(process)
        self._lock = threading.Lock()

    def association(self, outcome: str) -> None:
        """An association was opened or rejected, or ended: one of the board's `OUTCOMES`."""
        with self._lock:
            self._row.add(outcome)
            self._changed()

    def answered(self, status: Status, data_set_bytes: int, seconds: float) -> None:
        """A C-STORE was answered."""
        with self._lock:
            self._row.add(_STATUS_CELL[status])
            self._row.add("received bytes", data_set_bytes)
            self._changed()

    def _changed(self) -> None:
        """Tell the node, with a system call only if it waits to be told."""
        self._row.add("changes")
        if self._board.get("node waits"):
            self._board.set("node waits", 0)
            os.eventfd_write(self._board.place.bell, 1)


class NodeTally:
    """All processes' figures as the node sees them; what the backlog is made of."""

    def __init__(self, board: Board) -> None:
        self._board, self._rows = board, board.rows()

    @property
    def acknowledged(self) -> int:
        """Instances that were answered 0000."""
        return self._sum(_SUCCESS)

    @property
    def indexed(self) -> int:
        """Of these, how many the index took over."""
        return self._board.get("indexed")

    @indexed.setter
    def indexed(self, count: int) -> None:
        self._board.set("indexed", count)

    @property
    def failing_since(self) -> float | None:
        """Since when the index cannot be written, on the monotonic clock; None: it can."""
        return self._board.get("failing since") / 1e9 or None

    @failing_since.setter
    def failing_since(self, seconds: float | None) -> None:
        self._board.set("failing since", int((seconds or 0.0) * 1e9))

    @property
    def received_bytes(self) -> int:
        """Bytes of all data sets that were answered, whatever the answer."""
        return self._sum("received bytes")

    @property
    def open_associations(self) -> int:
        return sum(map(open_associations, self._rows))

    def answered(self, status: Status) -> int:
        """C-STORE requests that got this status."""
        return self._sum(_STATUS_CELL[status])

    def associations(self, outcome: str) -> int:
        """One of the board's `OUTCOMES`."""
        return self._sum(outcome)

    def serving(self) -> int:
        """How many processes take associations now."""
        return sum(row.get("state") == State.SERVING for row in self._rows)

    def wait_for_change(self, seen: int) -> int:
        """Block until anything was counted since `seen` (what this returned last, 0 at first), or `wake` is called."""
        self._board.set("node waits", 1)
        if self._changes() == seen:
            os.eventfd_read(self._board.place.bell)
        self._board.set("node waits", 0)
        return self._changes()

    def wake(self) -> None:
        """End `wait_for_change`."""
        os.eventfd_write(self._board.place.bell, 1)

    def _changes(self) -> int:
        return self._sum("changes")

    def _sum(self, cell: str) -> int:
        return sum(row.get(cell) for row in self._rows)


def open_associations(row: Row) -> int:
    """How many associations of one process are open."""
    return row.get("opened") - sum(row.get(outcome) for outcome in ENDED)
