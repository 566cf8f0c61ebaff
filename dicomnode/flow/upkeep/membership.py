"""This node among those on its database: it lives, it sees others die, and it looks after what they left.

What a node left are its containers, as far as they are not indexed, and the associations that it had open. Who takes
them over is settled by one conditional update of the dead node's row. It is settled for good only until the dead one
gives a sign of life again, for it may only have been paused; both may then read the same container for a moment, and
the container's own row decides what counts (`db.repositories.containers`).

A node that could not give signs of life itself, because the database was away or it was paused, judges nobody for the
length of a lease: the others may have been in the same situation.
"""

import threading
import time
from collections import deque
from collections.abc import Collection

from sqlalchemy.orm import Session

from dicomnode import __version__
from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.models import NodeRow
from dicomnode.db.repositories import nodes
from dicomnode.observe import log
from dicomnode.store.index_containers import node_of
from dicomnode.store.journal import plain

BEATS_PER_LEASE = 6


class CannotEnter(Exception):
    """The node cannot work on this database; the message says why, and what to do."""


class Superseded(Exception):
    """Another process works under this node's name: this one must end."""


class Membership:
    """Safe to share between threads. `inherited` are nodes taken over, whose estate is still to be settled."""

    def __init__(self, database: Database, name: str, boot: str, store: str, lease_seconds: float) -> None:
        self.name, self.boot = name, boot
        self.inherited: deque[str] = deque()
        self._database, self._store, self._lease = database, store, lease_seconds
        self._lock = threading.Lock()
        self._wards: frozenset[str] = frozenset()
        self._others: frozenset[str] = frozenset()
        self._strangers: set[str] = set()
        self._beaten_at = self._judges_from = time.monotonic()

    def enter(self, earlier: Collection[str]) -> None:
        """Live under this name; `earlier` are boots that are known to be over. Raises CannotEnter, database errors."""
        with self._database.write() as session:
            if not nodes.add(session, self.name):
                self._may_follow(session, earlier)
            self._may_stand_beside([row for row in nodes.living(session, self._lease) if row.name != self.name])
            nodes.enter(session, self.name, self.boot, __version__, self._store)
        self._beaten_at = time.monotonic()
        self._look_around()

    def beat(self) -> bool:
        """A sign of life, and a look at who gave none. Returns whether an estate fell to this node.

        Raises Superseded and database errors.
        """
        with self._database.write() as session:
            taken_by = nodes.beat(session, self.name, self.boot)
            if taken_by is None:
                raise Superseded(f"another process works under the name {self.name}")
            if taken_by:
                words = f"it lives after all: {taken_by} had taken it for dead"
                record(session, "node.returned", words, node=self.name, outcome="warning", detail={"by": taken_by})
        now = time.monotonic()
        if now - self._beaten_at > self._lease / 2:
            self._judges_from = now + self._lease
        self._beaten_at = now
        return self._look_around()

    def leave(self, session: Session) -> None:
        """A goodbye, in the transaction that says so."""
        nodes.leave(session, self.name, self.boot)

    def looks_after(self, maker: str) -> bool:
        """Whether this node's index reads the containers of `maker` (`store.index_containers.maker_of`): its own, and
        those of the dead that it took over."""
        if maker in ("", plain(self.name)):  # a name that no node gives is read by all: its row decides
            return True
        with self._lock:
            if maker not in self._others:
                self._strangers.add(maker)
            return maker in self._wards

    def _may_follow(self, session: Session, earlier: Collection[str]) -> None:
        """An earlier life may have been seen a moment ago, if it is known to be over."""
        row = nodes.find(session, self.name)
        living = any(other.name == self.name for other in nodes.living(session, self._lease))
        if row is not None and living and row.boot not in earlier:
            raise CannotEnter(
                f"a node named {self.name} already works on this database, and was alive less than {self._lease:g} s "
                f"ago; stop it, or give this one another node.name"
            )

    def _may_stand_beside(self, others: Collection[NodeRow]) -> None:
        if others and self._database.is_sqlite:
            names = ", ".join(row.name for row in others)
            raise CannotEnter(
                f"node {names} works on this database, and was alive less than {self._lease:g} s ago; SQLite takes "
                f"one node: stop it, or use PostgreSQL for several"
            )
        if elsewhere := [row.name for row in others if row.store != self._store]:
            raise CannotEnter(
                f"node {', '.join(elsewhere)} works on this database with another store; all nodes of a database need "
                f"the same folder as store.root"
            )

    def _look_around(self) -> bool:
        with self._lock:
            strangers = frozenset(self._strangers)
        with self._database.read() as session:
            known = {plain(row.name) for row in nodes.listing(session)}
            dead = nodes.dead(session, self._lease)
        unheard = sorted(node_of(maker) for maker in strangers - known)
        judged = dead if time.monotonic() >= self._judges_from else []
        free = [row.name for row in judged if row.taken_by != self.name and row.name != self.name]
        taken = self._take(unheard, free) if unheard or free else []
        inherited = [row.name for row in dead if row.taken_by == self.name] + taken
        with self._lock:
            news = [name for name in inherited if plain(name) not in self._wards]
            self._wards = frozenset(map(plain, inherited))
            self._others = frozenset(known | set(map(plain, unheard)))
            self._strangers.difference_update(self._others)
        self.inherited.extend(news)
        return bool(news)

    def _take(self, unheard: list[str], free: list[str]) -> list[str]:
        """What falls to this node, of those that never were seen and of the dead."""
        with self._database.write() as session:
            for name in unheard:
                nodes.add(session, name)
            taken = [name for name in (*unheard, *free) if nodes.take(session, name, self.name, self._lease)]
            for name in taken:
                words = f"{name} gives no sign of life: {self.name} looks after what it left"
                record(session, "node.taken_over", words, node=self.name, outcome="warning", detail={"of": name})
        for name in taken:
            log.warning("took over what a dead node left", dead=name)
        return taken
