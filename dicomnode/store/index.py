"""The indexer: applies containers to SQL, idempotently and in batches, and decides what is new.

SQL is only the index: a member that was applied twice changes nothing, and whatever is lost of SQL can be read from the
containers again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.repositories import containers as container_rows
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


@dataclass
class Applied:
    """How much one run applied: members of all kinds, and instances among them."""

    members: int = 0
    instances: int = 0


class Indexer:
    """Reads this node's containers from where it stopped. One per node; not safe to share between threads.

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
    ) -> None:
        self._root, self._node, self._database = root, node, database
        self._arrived, self._same_pixels, self._trusted = arrived, same_pixels, trusted
        self._containers = GrowingContainers(root)
        self._offsets: dict[str, int] | None = None

    def run(self, applied: Applied | None = None) -> Applied:
        """Apply everything that is complete now, counting in `applied`.

        Raises database errors; what was applied before stays applied, and counted.
        """
        applied = applied or Applied()
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
        return applied

    def _members(self, offsets: dict[str, int], read_through: list[tuple[str, int]]) -> Iterator[tuple[str, Member]]:
        """What has come since the last run; notes a container (name, size) once there is no more in it."""
        for name, size in self._containers.grown():
            offset = offsets.get(name, 0)
            if not self._containers.is_closed(name, offset):
                for member in members(self._root, name, offset, verify=not self._trusted(name)):
                    yield name, member
            read_through.append((name, size))

    def _apply(self, batch: Sequence[Read], headers: Headers, offsets: dict[str, int]) -> None:
        reached = {read.container: read.member.next_offset for read in batch}
        with self._database.write() as session:
            applied = Batch(session, self._node, headers, self._same_pixels)
            applied.apply(batch)
            self._arrived(session, applied.arrivals)
            container_rows.advance(session, self._node, reached)
        offsets.update(reached)
        for outcome, count in applied.outcomes.items():
            INDEXED.labels(outcome).inc(count)

    def _note_read(self, read_through: list[tuple[str, int]], offsets: dict[str, int]) -> None:
        """What was read to its end is in SQL now."""
        for name, size in read_through:
            self._containers.read(name, size, offsets.get(name, 0))
        read_through.clear()


def _fields(headers: Headers, member: Member) -> Fields | None:
    return headers.fields(member.location, member.receipt) if isinstance(member, InstanceMember) else None
