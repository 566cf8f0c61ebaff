"""Waiting for what others commit: cheap enough to look for it all the time, and no machinery to be told."""

import sqlite3
import threading
import time
from pathlib import Path

from dicomnode.db.database import Database

LOOK_SECONDS = 0.025
SELDOM = 2
"""Where commits are seen, only what falls due by the clock is left to whoever waits: he may ask half as often."""


class Changes:
    """For one thread at a time. On SQLite a look costs microseconds: a connection that does nothing else asks for
    `PRAGMA data_version`, which is another one after every commit of anybody else. Elsewhere nobody looks.
    """

    def __init__(self, database: Database) -> None:
        url = database.engine.url
        self._file = url.database if database.is_sqlite and url.database not in (None, "", ":memory:") else None
        self._connection: sqlite3.Connection | None = None
        self._seen = self._look() if self._file else 0

    def wait(self, stop: threading.Event, seconds: float) -> None:
        """Until something was committed since the last wait ended, `stop` is set, or the time is over.

        `seconds` is how long to wait where commits are not seen; where they are it is `SELDOM` times as long.
        """
        until = time.monotonic() + (seconds if self._file is None else SELDOM * seconds)
        while self._file is not None and (left := until - time.monotonic()) > 0:
            seen = self._look()
            if seen != self._seen:
                self._seen = seen
                return
            if stop.wait(min(left, LOOK_SECONDS)):
                return
        stop.wait(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self) -> int:
        """The database's version; 0 where there is no database to ask."""
        try:
            if self._connection is None:
                uri = f"{Path(str(self._file)).absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error:
            self.close()
            return 0
