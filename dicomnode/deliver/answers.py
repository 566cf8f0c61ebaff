"""A destination's answers on their way into the ledger: safe against a kill at once, in SQL a moment later.

An answer that is forgotten is an instance sent twice. A SQL transaction for each would be that safe and cost more than
sending: a CT takes 0.3 ms. So each answer is written to a small file first, without a sync, before its association
sends the next instance: the page cache outlives a process that is killed. A thread takes what came since into SQL, in
one transaction that is synced, and rests ten times as long as that took, COMMIT_SECONDS at least. A start reads the
file, so after `kill -9` at any moment at most the one instance of each association whose answer had not been read is
sent again. After a power cut it may be those since the last transaction as well, LATE_SECONDS' worth at most: the same
bytes under the same UIDs, which a PACS takes as what it has.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.repositories import deliveries
from dicomnode.db.repositories.deliveries import Answer, OpenItem
from dicomnode.deliver import noted
from dicomnode.deliver.outcome import Outcome, Response
from dicomnode.observe import log

COMMIT_SECONDS = 0.05
LATE_SECONDS = 1.0
NOTE_SECONDS = 0.5
LONGEST_FILE = 4 << 20

_STATES = {Outcome.STORED: "sent", Outcome.WARNING: "sent", Outcome.TRANSIENT: "pending", Outcome.PERMANENT: "failed"}


class Answers:
    """Of one destination at one node; its associations share it. `abort` ends waiting for a database that is away."""

    def __init__(self, database: Database, root: Path, node: str, destination: str, abort: threading.Event) -> None:
        self._database, self._destination, self._abort = database, destination, abort
        self._path = noted.path_of(root, node, destination)
        self._lock, self._committing = threading.Lock(), threading.Lock()
        self._waiting: list[Answer] = []
        self._waiting_since = 0.0
        self._descriptor = -1
        self._noted, self._closed = threading.Event(), threading.Event()
        self._committer = threading.Thread(target=self._keep_committing, name=f"answers-{destination}", daemon=True)

    def recover(self) -> bool:
        """Write down what an earlier life of the node noted and did not get into SQL. Before anything is sent.

        Returns whether this was the first time.
        """
        with self._lock:
            if self._descriptor >= 0:
                return False
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if left := noted.read(self._path):
                self.patiently(lambda session: deliveries.record_answers(session, left))
                log.info("answers of an earlier life", destination=self._destination, count=len(left))
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            self._committer.start()
            return True

    def note(self, item: OpenItem, response: Response) -> None:
        """The next instance may go out when this returns. Raises DBAPIError once `abort` is set."""
        state = _STATES[response.outcome]
        answer = Answer(item.id, item.sop_uid, state, response.status, response.detail, item.attempts + 1)
        with self._lock:
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._waiting.append(answer)
            in_file = noted.append(self._descriptor, answer)
            full = not in_file or os.lseek(self._descriptor, 0, os.SEEK_CUR) > LONGEST_FILE
            late = time.monotonic() - self._waiting_since > LATE_SECONDS
        self._noted.set()
        if full or late:
            self.settle()

    def settle(self, also: Callable[[Session], None] | None = None) -> None:
        """Everything noted until now is in SQL when this returns, and `also` done in the same transaction.

        Raises DBAPIError once `abort` is set.
        """
        with self._committing:
            self._commit(also)

    def patiently(self, change: Callable[[Session], None]) -> None:
        """One transaction. A database that is away is waited for: to forget an answer would be to send twice."""
        while True:
            try:
                with self._database.write() as session:
                    change(session)
                return
            except DBAPIError as error:
                log.warning("an answer waits for the database", destination=self._destination, error=str(error.orig))
                if self._abort.wait(NOTE_SECONDS):
                    raise

    def close(self) -> None:
        """End the thread and give the file back. What could not be settled stays in it."""
        self._closed.set()
        self._noted.set()
        with self._lock:
            opened, self._descriptor = self._descriptor, -1
        if opened >= 0:
            self._committer.join()
            os.close(opened)

    def _keep_committing(self) -> None:
        while self._noted.wait() and not self._closed.is_set():
            self._noted.clear()
            began = time.monotonic()
            try:
                self.settle()
            except Exception as error:  # whoever waits for the answers to be settled hears of it too
                log.warning("answers wait", destination=self._destination, error=type(error).__name__)
            self._closed.wait(min(max(COMMIT_SECONDS, 10 * (time.monotonic() - began)), LATE_SECONDS / 2))

    def _commit(self, also: Callable[[Session], None] | None) -> None:
        with self._lock:
            batch = tuple(self._waiting)
        if not batch and also is None:
            return

        def change(session: Session) -> None:
            if batch:
                deliveries.record_answers(session, batch)
            if also is not None:
                also(session)

        self.patiently(change)
        with self._lock:
            del self._waiting[: len(batch)]
            self._waiting_since = time.monotonic()
            if not self._waiting and self._descriptor >= 0:
                os.ftruncate(self._descriptor, 0)
