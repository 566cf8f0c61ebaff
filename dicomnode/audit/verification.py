"""Verification: the chain from its first link to its last, and what the anchors outside the database say to it.

What is found: events edited, removed, moved or put in, and links removed, by the chain alone; a tail that was cut off,
or a log that was sealed anew from some event on, by the anchors. The first bad position is exact wherever the chain
itself breaks. Where only an anchor differs it lies behind the last anchor that agrees: a range is named.

What nobody can know, and is told as a warning where anything hints at it: what was done to an event before it had a
seal; what was done behind the last anchor while no node ran that remembers; and what was written by somebody who has
the database and adds an event as a node does.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from dicomnode.audit import chain
from dicomnode.audit.anchors import Anchor, AnchorReader, readers
from dicomnode.db.database import Database
from dicomnode.db.models import AuditChain, AuditEvent
from dicomnode.db.repositories import nodes as node_rows

BATCH = 2000
LATE = timedelta(minutes=15)
"""No transaction stays open for so long: who puts an event in later had not begun before."""
STALE = timedelta(minutes=15)
GAPS = 5
"""That are told of; a log with more of them needs no list to be looked at."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Anchors:
    """What the anchors said. `agreed`: the last link that one of them confirms, 0 for none."""

    folder: str = ""
    files: int = 0
    lines: int = 0
    agreed: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """The result. `first_bad` is the chain's first position that does not hold; `until`: no later than that one.

    `checked` links were looked at, `sealed` of them were sealed just before.
    """

    ok: bool
    first_bad: int | None
    sealed: int
    reason: str = ""
    until: int | None = None
    checked: int = 0
    anchors: Anchors = Anchors()


class _Bad(Exception):
    """The first position that does not hold, or the range in which it lies."""

    def __init__(self, reason: str, first: int, until: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.first, self.until = reason, first, until or first


def verify(database: Database, folder: Path | None = None, progress: Progress = lambda checked: None) -> Verification:
    """Seal first, then walk the whole chain beside the anchors in `folder`, in constant memory.

    Each batch is a transaction of its own, so that a long log holds nobody up. Raises OSError where anchors cannot be
    read, and database errors.
    """
    unsealed, oldest = chain.waiting(database)
    sealed = chain.seal(database, everything=True)
    found = readers(folder) if folder else []
    witness = _Witness(found)
    walk = _Walk(database.is_sqlite, witness)
    bad = None
    with database.read() as session:
        nodes = [each.name for each in node_rows.listing(session)]
    try:
        for row in _links(database):
            walk.step(row)
            if walk.checked % BATCH == 0:
                progress(walk.checked)
        witness.end(walk.checked)
    except _Bad as error:
        bad = error
    anchors = Anchors(
        str(folder or ""),
        len(found),
        sum(each.lines for each in found),
        witness.agreed,
        (*witness.warnings(walk, nodes if folder else ()), *_left_unsealed(unsealed, oldest), *walk.warnings),
    )
    if bad:
        return Verification(False, bad.first, sealed, bad.reason, bad.until, walk.checked, anchors)
    return Verification(True, None, sealed, checked=walk.checked, anchors=anchors)


def _left_unsealed(count: int, oldest: datetime | None) -> Iterator[str]:
    """A node seals within seconds; what waits for longer was left by one that was killed, or put in."""
    if oldest is not None and datetime.now(UTC) - oldest > STALE:
        yield (
            f"{count} events, the oldest of {oldest.isoformat(timespec='seconds')}, had no seal until now: "
            "whatever was done to them before does not show"
        )


def _links(database: Database) -> Iterator[Row[Any]]:
    """Every link with its event, by position."""
    columns = (AuditChain.seq, AuditChain.event_id, AuditChain.hash, *AuditEvent.__table__.c)
    query = select(*columns).outerjoin(AuditEvent, AuditEvent.id == AuditChain.event_id).order_by(AuditChain.seq)
    rows: Sequence[Row[Any]] = ()
    while True:
        with database.read() as session:
            behind = query.where(AuditChain.seq > rows[-1].seq) if rows else query
            rows = session.connection().execute(behind.limit(BATCH)).all()
        if not rows:
            return
        yield from rows


@dataclass
class _Witness:
    """The anchors of all files beside the walk, by position."""

    files: Sequence[AnchorReader]
    agreed: int = 0
    highest: int = 0
    """The highest event that an anchor noted at least LATE before the last anchor that was passed."""
    _first: str = ""
    _passed: deque[Anchor] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._waiting = heapq.merge(*self.files, key=lambda anchor: anchor.seq)
        self._next = next(self._waiting, None)

    def sees(self, seq: int, hash: str) -> None:
        """Link `seq` holds in itself; raises _Bad if an anchor knows it otherwise."""
        if seq == 1:
            self._first = hash
        while self._next is not None and self._next.seq <= seq:
            anchor, self._next = self._next, next(self._waiting, None)
            if anchor.log != self._first:
                raise _Bad(
                    f"{_who(anchor)} is of another log: this one was replaced, or the anchor belongs elsewhere", 1
                )
            if anchor.seq == seq:
                self._compare(anchor, hash)

    def _compare(self, anchor: Anchor, hash: str) -> None:
        if anchor.hash != hash:
            reason = f"{_who(anchor)} does not agree: something between was changed, and all behind it sealed anew"
            raise _Bad(reason, self.agreed + 1, anchor.seq)
        self.agreed = anchor.seq
        self._passed.append(anchor)
        while self._passed and anchor.time - self._passed[0].time >= LATE:
            self.highest = max(self.highest, self._passed.popleft().event)

    def end(self, length: int) -> None:
        """The chain ends here; raises _Bad if an anchor knows that it went on."""
        if self._next is not None:
            reason = f"{_who(self._next)} lies behind the end: what followed link {length} was cut off"
            raise _Bad(reason, self.agreed + 1, length + 1)

    def warnings(self, walk: "_Walk", nodes: Sequence[str]) -> Iterator[str]:
        """What is no proof of anything, and ought to be known."""
        for each in self.files:
            yield from each.warnings
        there = {each.path.stem for each in self.files}
        if there:
            yield from (
                f"node {name} has no anchor file: it was removed, or never written"
                for name in nodes
                if name not in there
            )
        if not self.files:
            yield "there is no anchor: nobody would notice that the tail was cut off, or the log sealed anew"
        elif walk.unanchored_since and datetime.now(UTC) - walk.unanchored_since > STALE:
            yield f"nothing behind link {self.agreed} is anchored: a node was killed, or an anchor file was cut"


def _who(anchor: Anchor) -> str:
    return f"the anchor of {anchor.node} at link {anchor.seq} ({anchor.at})"


class _Walk:
    """The state between two links."""

    def __init__(self, in_order: bool, witness: _Witness) -> None:
        """`in_order`: events are numbered in the order of their commits, as with SQLite's one writer."""
        self.checked = 0
        self.unanchored_since: datetime | None = None
        self.warnings: list[str] = []
        self._previous, self._highest = chain.GENESIS, 0
        self._hashes: deque[str] = deque(maxlen=BATCH)
        """Of the links before the previous one, the last ones."""
        self._in_order, self._witness = in_order, witness

    def step(self, row: Row[Any]) -> None:
        """The next link; raises _Bad if it does not hold."""
        expected = self.checked + 1
        if row.seq != expected:
            gone = f"link {expected} is missing"
            raise _Bad(gone if row.seq > expected else f"link {row.seq} was put in before the first", expected)
        if row.id is None:
            raise _Bad(f"event {row.event_id} was deleted", expected)
        if chain.link_hash(self._previous, row) != row.hash:
            raise self._broken(row, expected)
        if self._highest and row.id > self._highest + chain.WINDOW:
            raise _Bad(f"event {row.id} is numbered far ahead of event {self._highest} before it: put in", expected)
        if row.id < self._witness.highest:
            raise _Bad(f"event {row.id} was put in long after later ones had been sealed", expected)
        if self._in_order and row.id < self._highest:
            reason = f"event {row.id} is sealed behind event {self._highest}: one of them was put in"
            raise _Bad(reason, self.checked, expected)
        if self._in_order and row.id > self._highest + 1:
            self._misses(self._highest + 1, row.id - 1)
        self._hashes.append(self._previous)
        self._previous, self._highest, self.checked = row.hash, max(self._highest, row.id), expected
        self._witness.sees(expected, row.hash)
        if self._witness.agreed == expected:
            self.unanchored_since = None
        elif self.unanchored_since is None:
            self.unanchored_since = row.at

    def _broken(self, row: Row[Any], expected: int) -> _Bad:
        """Where a link follows an earlier one than that before it, those between were put in, each rightly hashed."""
        for back, hash in enumerate(reversed(self._hashes), start=1):
            if chain.link_hash(hash, row) == row.hash:
                return _Bad(
                    f"event {row.id} was sealed right behind link {expected - 1 - back}: put in", expected - back
                )
        return _Bad(f"event {row.id} does not match its seal", expected)

    def _misses(self, first: int, last: int) -> None:
        """One writer leaves no number out; with PostgreSQL a transaction that failed keeps those it drew."""
        if len(self.warnings) < GAPS:
            which = f"event {first} is" if first == last else f"events {first} to {last} are"
            self.warnings.append(f"{which} not there and never had a seal: taken out in the second before it")
