"""The indexer: applies containers to SQL, idempotently and in batches, and decides what is new.

SQL is only the index: a member that was applied twice changes nothing, and whatever is lost of SQL can be read from the
containers again.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.repositories import containers as container_rows
from dicomnode.db.repositories import set_aside
from dicomnode.db.repositories.containers import Moved
from dicomnode.db.repositories.set_aside import SetAside
from dicomnode.observe import INDEXED, log
from dicomnode.store import index_aside
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.index_batch import Batch, Read
from dicomnode.store.index_comparison import Comparison, SamePixels
from dicomnode.store.index_containers import GrowingContainers
from dicomnode.store.index_fields import Fields
from dicomnode.store.index_headers import Headers
from dicomnode.store.members import InstanceMember, Member, members

BATCH = 500
"""Members per transaction: what a writer waits for at most, and all that the indexer holds in memory."""
ATTEMPTS = 5
"""Of a batch that met another node's: what both wanted to write is there then, and is found."""
AGAIN_SECONDS = 3600.0
"""As often is tried again what was set aside: what it was refused for may have been nothing of its own after all."""
_REST_SECONDS = 0.05
_CROSSED = ("40001", "40P01")
"""PostgreSQL's serialization_failure and deadlock_detected."""

_T = TypeVar("_T")


@dataclass
class Applied:
    """How much one run applied: members of all kinds, and instances among them."""

    members: int = 0
    instances: int = 0


class Indexer:
    """Reads containers from where it stopped, or another node's. One per node; not safe to share between threads.

    Nodes divide the containers between them: `looks_after` is asked of each maker (`index_containers.maker_of`). Should
    two read the same one for a moment, its row decides which reading counts.

    `arrived` is called once per batch, inside its transaction, and `foresee` before that begins. Of a container that is
    `trusted`, the data sets are not held against their receipts: they were written by a process that has not died
    since, so what it attests is what the kernel holds. After a crash nobody can say so.
    """

    def __init__(
        self,
        root: Path,
        node: str,
        database: Database,
        arrived: Callable[[Session, Arrivals], None],
        same_pixels: SamePixels,
        *,
        trusted: Callable[[str], bool] = lambda container: False,
        looks_after: Callable[[str], bool] = lambda maker: True,
        foresee: Callable[[Sequence[Read]], None] = lambda batch: None,
    ) -> None:
        self._root, self._node, self._database = root, node, database
        self._arrived, self._foresee, self._trusted = arrived, foresee, trusted
        self._comparison = Comparison(root, same_pixels)
        self._containers = GrowingContainers(root, looks_after)
        self._offsets: dict[str, int] | None = None
        self._again: deque[SetAside] = deque()
        self._again_since = time.monotonic()

    def run(self, applied: Applied | None = None) -> Applied:
        """Apply everything that is complete now, counting in `applied`.

        Raises database errors; what was applied before stays applied, and counted.
        """
        applied = applied or Applied()
        while True:
            try:
                self._run(applied)
                return applied
            except Moved:
                self.read_offsets_again()

    def read_offsets_again(self) -> None:
        """Other nodes have read on in containers that are this one's to read from now on."""
        self._offsets = None

    def try_set_aside(self) -> int:
        """Take in what was set aside, where that can be done by now. Returns how many members that were.

        After an update, that is: what it was refused for is in the version. Raises database errors.
        """
        with self._database.read() as session:
            waiting = set_aside.waiting(session)
        with Headers(self._root) as headers:
            return sum(self._take_in(aside, headers) for aside in waiting)

    def try_one_set_aside(self) -> None:
        """Now and then, try again what was set aside: one member for each call, so that what comes in does not wait.

        Every AGAIN_SECONDS it is asked which these are. Raises database errors; the member's next turn comes then, too.
        """
        if not self._again:
            if time.monotonic() < self._again_since + AGAIN_SECONDS:
                return
            self._again_since = time.monotonic()
            with self._database.read() as session:
                self._again.extend(set_aside.waiting(session))
        if self._again:
            with Headers(self._root) as headers:
                self._take_in(self._again.popleft(), headers)

    def _take_in(self, aside: SetAside, headers: Headers) -> bool:
        member = index_aside.find(self._root, aside)
        if member is None:
            return False
        read = Read(aside.container, member, _fields(headers, member))

        def attempt() -> bool:
            with self._database.write() as session:
                if not set_aside.claim(session, aside):
                    return False
                self._write(session, [read], headers)
                index_aside.taken_in(session, self._node, aside, member)
            return True

        try:
            self._prepare([read])
            return _patiently(attempt)
        except Exception as error:
            if index_aside.reason_of(error):
                return False
            raise

    def _run(self, applied: Applied) -> None:
        if self._offsets is None:
            with self._database.read() as session:
                self._offsets = container_rows.indexed_to(session)
        read_through: list[tuple[str, int]] = []
        found = self._members(self._offsets, read_through)
        with Headers(self._root) as headers:
            while chunk := list(islice(found, BATCH)):
                batch = [Read(container, member, _fields(headers, member)) for container, member in chunk]
                self._apply(batch, headers, self._offsets)
                applied.members += len(batch)
                applied.instances += sum(isinstance(read.member, InstanceMember) for read in batch)
                self._note_read(read_through, self._offsets)
        self._note_read(read_through, self._offsets)

    def _members(self, offsets: dict[str, int], read_through: list[tuple[str, int]]) -> Iterator[tuple[str, Member]]:
        """What has come since the last run; notes a container (name, size) once there is no more in it."""
        for name, size in self._containers.grown():
            offset = offsets.get(name, 0)
            if not self._containers.is_closed(name, offset):
                for member in members(self._root, name, offset, verify=not self._trusted(name)):
                    yield name, member
            read_through.append((name, size))

    def _apply(self, batch: Sequence[Read], headers: Headers, offsets: dict[str, int]) -> None:
        """Raises Moved and database errors; a batch that ran into another node's on the way is tried again.

        A batch with something that cannot be taken in is halved until that is alone, and the index goes on behind it:
        unless nothing at all can be taken in just now, which is raised.
        """
        try:
            self._prepare(batch)
            outcomes = _patiently(lambda: self._attempt(batch, headers, offsets))
        except Exception as error:
            reason = index_aside.reason_of(error)
            if not reason:
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                self._apply(batch[:middle], headers, offsets)
                self._apply(batch[middle:], headers, offsets)
                return
            self._take_in_nothing(headers)
            outcomes = self._set_aside(batch[0], reason, offsets)
        offsets.update(_reached(batch))
        for outcome, count in outcomes.items():
            INDEXED.labels(outcome).inc(count)

    def _prepare(self, batch: Sequence[Read]) -> None:
        """Now, while no transaction keeps others from writing."""
        came = [read.member for read in batch if isinstance(read.member, InstanceMember)]
        if came:
            self._comparison.beforehand(self._database, came)
            self._foresee(batch)

    def _attempt(self, batch: Sequence[Read], headers: Headers, offsets: dict[str, int]) -> Counter[str]:
        reached = _reached(batch)
        with self._database.write() as session:
            container_rows.begin(session, self._node, {name: offsets.get(name, 0) for name in reached})
            outcomes = self._write(session, batch, headers)
            container_rows.advance(session, reached)
        return outcomes

    def _write(self, session: Session, batch: Sequence[Read], headers: Headers) -> Counter[str]:
        applied = Batch(session, self._node, headers, self._comparison)
        applied.apply(batch)
        self._arrived(session, applied.arrivals)
        return applied.outcomes

    def _take_in_nothing(self, headers: Headers) -> None:
        """Raises what taking in raises whatever came: site data of a newer version, say. No member is to blame then."""

        def attempt() -> None:
            with self._database.write() as session:
                self._write(session, [], headers)
                session.rollback()

        _patiently(attempt)

    def _set_aside(self, read: Read, reason: str, offsets: dict[str, int]) -> Counter[str]:
        """One member that cannot be taken in: its bytes stay where they are, and the audit log says so."""
        what = index_aside.described(read.member)
        aside = SetAside(read.container, offsets.get(read.container, 0), what, reason)
        with self._database.write() as session:
            container_rows.begin(session, self._node, {aside.container: aside.offset})
            index_aside.set_aside(session, self._node, aside, read.member)
            container_rows.advance(session, _reached([read]))
        log.error("a stored member cannot be indexed", **vars(aside))
        return Counter({"set_aside": 1} if isinstance(read.member, InstanceMember) else {})

    def _note_read(self, read_through: list[tuple[str, int]], offsets: dict[str, int]) -> None:
        """What was read to its end is in SQL now."""
        for name, size in read_through:
            self._containers.read(name, size, offsets.get(name, 0))
        read_through.clear()


def _patiently(attempt: Callable[[], _T]) -> _T:
    """Try a transaction that may run into another node's: what both wanted to write is there the next time."""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except DBAPIError as error:
            if not _ran_into_another(error):
                raise
        time.sleep(random.uniform(0.0, _REST_SECONDS))  # noqa: S311 - two must not meet again
    return attempt()


def _reached(batch: Sequence[Read]) -> dict[str, int]:
    """Where a batch ends in each container."""
    return {read.container: read.member.next_offset for read in batch}


def _ran_into_another(error: DBAPIError) -> bool:
    """Whether another transaction wrote the same rows first, or waited for this one as this one for it."""
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", "") in _CROSSED


def _fields(headers: Headers, member: Member) -> Fields | None:
    return headers.fields(member.location, member.receipt) if isinstance(member, InstanceMember) else None
