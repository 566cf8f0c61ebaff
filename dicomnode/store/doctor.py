"""Disk against index, both ways: what each container holds, and what SQL believes that it holds.

Looking changes nothing and may be done at any time: what a running node changes meanwhile is asked again before it is
called a trouble. `repair` says what can be done.
"""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dicomnode.db.database import Database
from dicomnode.db.models import Instance, InstanceVersion
from dicomnode.db.repositories import containers as container_rows
from dicomnode.db.repositories import instances, set_aside, stored
from dicomnode.db.repositories.set_aside import SetAside
from dicomnode.db.repositories.stored import StoredRow
from dicomnode.domain.instance import Location, Receipt
from dicomnode.store import tar
from dicomnode.store.fingerprints import fingerprint_at
from dicomnode.store.hold import taken_over
from dicomnode.store.journal import CONTAINERS
from dicomnode.store.members import DamagedMember, FileMember, InstanceMember, members
from dicomnode.store.reading import containers
from dicomnode.store.sweep import holds_receipts

_SLOW = timedelta(minutes=1)
"""What a running node has not indexed within this time it will not index by itself."""

OnProgress = Callable[[int, int], None]
"""Bytes of containers looked at, and all there are."""


@dataclass(frozen=True)
class Trouble:
    """What disk and index disagree on in one container. `kind`: a key of `repair.KINDS`."""

    kind: str
    container: str
    reason: str
    rows: Sequence[StoredRow] = ()
    count: int = 0
    aside: Sequence[SetAside] = ()


@dataclass
class _Seen:
    """What one container turned out to hold."""

    rows: list[StoredRow]
    """Those that no member was found for yet."""
    indexed_to: int
    end: int = 0
    damaged: list[StoredRow] = field(default_factory=list)
    back: list[StoredRow] = field(default_factory=list)
    behind: list[tuple[Receipt, int]] = field(default_factory=list)
    unknown: list[Receipt] = field(default_factory=list)


class Doctor:
    """Looks at one node's store. `deep` reads every byte; else receipts and headers alone are read."""

    def __init__(self, root: Path, database: Database, node: str, *, running: bool, deep: bool = False) -> None:
        self._root, self._database, self._node = root, database, node
        self._running, self._deep = running, deep
        self._aside: list[SetAside] = []
        self._aside_at: set[tuple[str, int]] = set()

    def look(self, on_progress: OnProgress = lambda done, total: None) -> Iterator[Trouble]:
        """Every trouble there is, container by container. Raises OSError and database errors."""
        sizes = {file.name: file.size for file in containers(self._root)} | dict(self._derived())
        with self._database.read() as session:
            makers = stored.expected_containers(session)
            self._aside = set_aside.waiting(session)
        self._aside_at = {(aside.container, aside.offset) for aside in self._aside}
        done, total = 0, sum(sizes.values())
        removed = {aside.container for aside in self._aside} - makers.keys()
        for name in sorted(sizes.keys() | self._ours(makers, sizes.keys()) | removed):
            yield from self._container(name)
            done += sizes.get(name, 0)
            on_progress(done, total)
        yield from self._strangers()

    def _ours(self, makers: Mapping[str, str], present: Collection[str]) -> set[str]:
        """The containers that should be in this store. Nodes of which it has none have stores of their own; beside
        such nodes nobody can say whose derived containers are."""
        here = {self._node, *(makers.get(name, "") for name in present)} - {""}
        elsewhere = set(makers.values()) - here - {""}
        return {name for name, maker in makers.items() if maker in here or (not maker and not elsewhere)}

    def _derived(self) -> Iterator[tuple[str, int]]:
        for path in self._root.glob("derived/*/*.tar"):
            with contextlib.suppress(FileNotFoundError):  # swept meanwhile
                yield str(path.relative_to(self._root)), path.stat().st_size

    def _container(self, name: str) -> Iterator[Trouble]:
        with self._database.read() as session:
            rows = stored.in_container(session, name)
            indexed_to = container_rows.indexed_to_in(session, name)
        if aside := [each for each in self._aside if each.container == name]:
            kind = "set_aside" if (self._root / name).exists() else "lost"
            reasons = ", ".join(sorted({each.reason for each in aside}))
            yield Trouble(kind, name, reasons, count=len(aside), aside=aside)
        try:
            yield from self._held_against(name, _Seen(list(rows), indexed_to))
        except FileNotFoundError:
            lost = self._still(name, [row for row in rows if row.fault != "missing"])
            if lost:
                yield Trouble("missing", name, "the container is not there", lost, len(lost))
            elif not rows and not aside:
                yield from self._unnoted(name)

    def _unnoted(self, name: str) -> Iterator[Trouble]:
        with self._database.read() as session:
            if stored.is_listed(session, name):
                yield Trouble("unnoted", name, "the container is not there, and nothing that is kept lay in it")

    def _held_against(self, name: str, seen: _Seen) -> Iterator[Trouble]:
        size = (self._root / name).stat().st_size
        self._read(name, seen)
        short = [row for row in seen.rows if row.offset + row.length > size]
        seen.damaged += [row for row in seen.rows if row not in short and not self._is_intact(row)]
        yield from self._rows("missing", name, short, "the container ends before them")
        yield from self._rows("damaged", name, seen.damaged, "the bytes are not those that were stored")
        if seen.back:
            yield Trouble("back", name, "what was missing or damaged is there again", seen.back, len(seen.back))
        if seen.unknown:
            yield Trouble("unknown", name, "the index has no row for them", count=len(seen.unknown))
        if behind := self._behind(name, seen):
            yield Trouble("unindexed", name, "the index has not read them", count=len(behind))
        if name.startswith(f"{CONTAINERS}/"):
            yield from self._tail(name, seen.end, size)

    def _rows(self, kind: str, name: str, rows: list[StoredRow], reason: str) -> Iterator[Trouble]:
        news = self._still(name, [row for row in rows if not row.fault])
        if news:
            yield Trouble(kind, name, reason, news, len(news))

    def _still(self, name: str, rows: list[StoredRow]) -> list[StoredRow]:
        """Those that retention or an indexer has not changed since they were read."""
        if not rows:
            return []
        with self._database.read() as session:
            now = set(stored.in_container(session, name))
        return [row for row in rows if row in now]

    def _behind(self, name: str, seen: _Seen) -> list[Receipt]:
        """What the index has not read; beside a running node, what it should have read by now."""
        if not seen.behind:
            return []
        with self._database.read() as session:
            indexed_to = container_rows.indexed_to_in(session, name)
        late = datetime.now(UTC) - _SLOW
        return [
            receipt
            for receipt, end in seen.behind
            if end > indexed_to and not (self._running and datetime.fromisoformat(receipt.received_at) > late)
        ]

    def _read(self, name: str, seen: _Seen) -> None:
        by_offset = {row.offset: row for row in seen.rows}
        for member in members(self._root, name, verify=self._deep):
            seen.end = member.next_offset
            match member:
                case InstanceMember(location=location, receipt=receipt):
                    if (row := by_offset.get(location.offset)) is not None:
                        self._found(seen, row, receipt.sha256)
                    elif not self._is_aside(location):
                        self._without_row(seen, receipt, member.next_offset)
                case FileMember(location=location):
                    if (row := by_offset.get(location.offset)) is not None:
                        self._found(seen, row, _hash(self._root, row) if self._deep else row.sha256)
                case DamagedMember(location=location):
                    hit = [row for row in seen.rows if location.offset <= row.offset < member.next_offset]
                    seen.damaged += hit
                    seen.rows = [row for row in seen.rows if row not in hit]

    def _found(self, seen: _Seen, row: StoredRow, sha256: str) -> None:
        seen.rows.remove(row)
        if sha256 != row.sha256:
            seen.damaged.append(row)
        elif row.fault == "missing" or (row.fault and self._deep):
            seen.back.append(row)

    def _is_aside(self, location: Location) -> bool:
        return (location.container, location.offset - tar.BLOCK) in self._aside_at

    def _without_row(self, seen: _Seen, receipt: Receipt, end: int) -> None:
        """A copy of what is stored elsewhere needs no row; what lies behind `indexed_to` has none yet."""
        if end > seen.indexed_to:
            seen.behind.append((receipt, end))
            return
        with self._database.read() as session:
            known = instances.find(session, receipt.sop_instance_uid)
            version = instances.version(session, receipt.sop_instance_uid, receipt.sha256)
            if _needs_row(known, version, receipt):
                seen.unknown.append(receipt)

    def _is_intact(self, row: StoredRow) -> bool:
        """A row that no member was found for: its container cannot be read up to it, but its bytes may still be."""
        try:
            return _hash(self._root, row) == row.sha256
        except EOFError:
            return False

    def _tail(self, name: str, end: int, size: int) -> Iterator[Trouble]:
        """What lies behind the last complete member of a container that nobody writes any more."""
        path = self._root / name
        with taken_over(path) as ours, path.open("rb") as file:
            file.seek(end)
            begins_with = file.read(tar.BLOCK)
        if not ours or (size - end <= len(tar.END_OF_ARCHIVE) and not any(begins_with)):
            return
        if end == 0 and not holds_receipts(path):
            yield Trouble("unfinished", name, f"{size} bytes of an instance that never came to its end")
        elif end == 0:
            yield Trouble("broken", name, "its first block is damaged, and readers stop there")
        else:
            yield Trouble("torn", name, f"{size - end} bytes behind the last whole instance, never acknowledged")

    def _strangers(self) -> Iterator[Trouble]:
        folder = self._root / CONTAINERS
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.suffix != ".tar" or not path.is_file():
                yield Trouble("stranger", f"{CONTAINERS}/{path.name}", "no dicomnode made it")


def _needs_row(known: Instance | None, version: InstanceVersion | None, receipt: Receipt) -> bool:
    """Whether the index should point to this copy, and does not."""
    if known is None:
        return True
    if known.gone == "purged":
        return False
    return bool(known.fault) if known.sha256 == receipt.sha256 else version is None


def _hash(root: Path, row: StoredRow) -> str:
    location = Location(row.container, row.offset, row.length)
    return fingerprint_at(root, location, None if row.table == "output" else row.transfer_syntax_uid)
