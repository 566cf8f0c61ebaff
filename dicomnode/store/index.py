"""The indexer: applies containers to SQL, idempotently and in batches, and decides what is new.

SQL is only the index: a member that was applied twice changes nothing, and whatever is lost of SQL can be read from the
containers again.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.repositories import containers as container_rows
from dicomnode.db.repositories.containers import Moved
from dicomnode.observe import INDEXED
from dicomnode.store.index_arrivals import Arrivals
from dicomnode.store.index_batch import Batch, Read
from dicomnode.store.index_containers import GrowingContainers
from dicomnode.store.index_fields import Fields
from dicomnode.store.index_headers import Headers
from dicomnode.store.index_known import SamePixels
from dicomnode.store.members import InstanceMember, Member, members

BATCH = 500
"""Members per transaction: what a writer waits for at most, and all that the indexer holds in memory."""
ATTEMPTS = 5
"""Of a batch that met another node's: what both wanted to write is there then, and is found."""
_REST_SECONDS = 0.05
_CROSSED = ("40001", "40P01")
"""PostgreSQL's serialization_failure and deadlock_detected."""
_COMPARED = 1000
"""Of so many pairs of instances it is remembered whether they show the same: an attempt may have to be repeated."""


@dataclass
class Applied:
    """How much one run applied: members of all kinds, and instances among them."""

    members: int = 0
    instances: int = 0


class Indexer:
    """Reads containers from where it stopped, or another node's. One per node; not safe to share between threads.

    Nodes divide the containers between them: `looks_after` is asked of each maker (`index_containers.maker_of`). Should
    two read the same one for a moment, its row decides which reading counts.

    `arrived` is called once per batch, inside its transaction. Of a container that is `trusted`, the data sets are not
    held against their receipts: they were written by a process that has not died since, so what it attests is what the
    kernel holds. After a crash nobody can say so.
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
    ) -> None:
        self._root, self._node, self._database = root, node, database
        self._arrived, self._trusted = arrived, trusted
        self._same_pixels: SamePixels = lru_cache(_COMPARED)(same_pixels)
        self._containers = GrowingContainers(root, looks_after)
        self._offsets: dict[str, int] | None = None

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
        """Raises Moved and database errors. A batch that ran into another node's on the way is tried again."""
        reached = {read.container: read.member.next_offset for read in batch}
        for attempt in range(1, ATTEMPTS + 1):
            try:
                outcomes = self._attempt(batch, headers, offsets, reached)
                break
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _ran_into_another(error):
                    raise
                time.sleep(random.uniform(0.0, _REST_SECONDS))  # noqa: S311 - two must not meet again
        offsets.update(reached)
        for outcome, count in outcomes.items():
            INDEXED.labels(outcome).inc(count)

    def _attempt(
        self, batch: Sequence[Read], headers: Headers, offsets: dict[str, int], reached: dict[str, int]
    ) -> Counter[str]:
        with self._database.write() as session:
            container_rows.begin(session, self._node, {name: offsets.get(name, 0) for name in reached})
            applied = Batch(session, self._node, headers, self._same_pixels)
            applied.apply(batch)
            self._arrived(session, applied.arrivals)
            container_rows.advance(session, reached)
        return applied.outcomes

    def _note_read(self, read_through: list[tuple[str, int]], offsets: dict[str, int]) -> None:
        """What was read to its end is in SQL now."""
        for name, size in read_through:
            self._containers.read(name, size, offsets.get(name, 0))
        read_through.clear()


def _ran_into_another(error: DBAPIError) -> bool:
    """Whether another transaction wrote the same rows first, or waited for this one as this one for it."""
    return isinstance(error, IntegrityError) or getattr(error.orig, "sqlstate", "") in _CROSSED


def _fields(headers: Headers, member: Member) -> Fields | None:
    return headers.fields(member.location, member.receipt) if isinstance(member, InstanceMember) else None
