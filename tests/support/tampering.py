"""Somebody who may write the database, and knows how the audit log is sealed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from dicomnode.audit import chain
from dicomnode.audit.anchors import AnchorFile
from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.models import AuditChain, AuditEvent

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
EDITS = {
    "at": "'2026-02-01 00:00:00.000000'",
    "node": "'other'",
    "actor": "'nobody'",
    "kind": "'node.stopped'",
    "outcome": "'failure'",
    "study_uid": "'1.2.9'",
    "series_uid": "NULL",
    "subject": "'delivery:0'",
    "message": "'nothing happened'",
    "detail": "'{\"number\": 99}'",
}
"""A new value for each column but the id."""


def write_events(database: Database, count: int, first: int = 1) -> None:
    """Events a minute apart, sealed."""
    with database.write() as session:
        for number in range(first, first + count):
            at = START + timedelta(minutes=number)
            more = {"series_uid": f"1.2.{number}", "study_uid": "1.2", "subject": f"delivery:{number}"}
            record(session, "node.started", f"event {number}", node="n", at=at, detail={"number": number}, **more)
    chain.seal(database)


def anchor(database: Database, folder: Path, *seqs: int, node: str = "n") -> None:
    """An anchor at each of these links, as far as the chain goes, at the time of the event."""
    with database.read() as session:
        first = chain.link(session, 1)
        for seq in seqs:
            link = chain.link(session, seq)
            if first and link:
                at = session.get_one(AuditEvent, link.event_id).at
                AnchorFile(folder, node).append(first.hash, seq, link.hash, link.event_id, at)


@dataclass(frozen=True)
class Intruder:
    """Changes the tables behind the program's back, constraints or not."""

    database: Database

    def does(self, *statements: str) -> None:
        off = "PRAGMA foreign_keys=OFF" if self.database.is_sqlite else "SET session_replication_role = replica"
        on = "PRAGMA foreign_keys=ON" if self.database.is_sqlite else "RESET session_replication_role"
        with self.database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            if self.database.is_sqlite:
                connection.exec_driver_sql("COMMIT")  # the pragma is ignored within a transaction
            for statement in (off, *statements, on):
                connection.exec_driver_sql(statement)

    def edits(self, n: int, column: str = "message") -> None:
        self.does(f"UPDATE audit_event SET {column} = {EDITS[column]} WHERE id = {n}")

    def deletes_event(self, n: int) -> None:
        self.does(f"DELETE FROM audit_event WHERE id = {n}")

    def deletes_link(self, n: int) -> None:
        self.does(f"DELETE FROM audit_chain WHERE seq = {n}")

    def deletes_both(self, n: int) -> None:
        self.deletes_event(n)
        self.deletes_link(n)

    def closes_the_gap(self, n: int) -> None:
        """Deletes an event and its link, and counts on from there."""
        self.deletes_both(n)
        self._moves_links(n + 1, -1)

    def swaps_events(self, n: int, m: int) -> None:
        self.does(*(f"UPDATE audit_event SET id = {to} WHERE id = {of}" for of, to in ((n, -1), (m, n), (-1, m))))

    def swaps_links(self, n: int, m: int) -> None:
        self.does(*(f"UPDATE audit_chain SET seq = {to} WHERE seq = {of}" for of, to in ((n, -1), (m, n), (-1, m))))

    def inserts(self, n: int, id: int, *, rightly_hashed: bool) -> None:
        """A new event with this id at link `n`, those behind it moved on."""
        self.adds_event(id, n)
        self._moves_links(n, 1)
        with self.database.write() as session:
            before = chain.link(session, n - 1)
            event = session.get_one(AuditEvent, id)
            right = chain.link_hash(before.hash if before else chain.GENESIS, event)
            session.add(AuditChain(seq=n, event_id=id, hash=right if rightly_hashed else chain.GENESIS))

    def adds_event(self, id: int, minute: int) -> None:
        """An event without a link, as of long ago."""
        at = START + timedelta(minutes=minute)
        with self.database.write() as session:
            session.add(AuditEvent(id=id, at=at, node="n", actor="node", kind="node.started", outcome="success",
                                   message="was always here", detail={}))  # fmt: skip

    def cuts_after(self, n: int) -> None:
        self.does(f"DELETE FROM audit_chain WHERE seq > {n}", f"DELETE FROM audit_event WHERE id > {n}")

    def seals_anew_from(self, n: int) -> None:
        """Every hash from link `n` on is made right."""
        with self.database.write() as session:
            before = chain.link(session, n - 1)
            previous = before.hash if before else chain.GENESIS
            for link in session.query(AuditChain).where(AuditChain.seq >= n).order_by(AuditChain.seq):
                previous = link.hash = chain.link_hash(previous, session.get_one(AuditEvent, link.event_id))

    def _moves_links(self, first: int, by: int) -> None:
        self.does(
            f"UPDATE audit_chain SET seq = -seq WHERE seq >= {first}",
            f"UPDATE audit_chain SET seq = -seq + {by} WHERE seq < 0",
        )


Snapshot = list[tuple[str, list[dict[str, Any]]]]


def snapshot(database: Database) -> Callable[[], None]:
    """Remember the log as it is; what is returned brings it back."""
    tables = (AuditEvent.__table__, AuditChain.__table__)
    with database.read() as session:
        rows = [[dict(row._mapping) for row in session.execute(table.select())] for table in tables]

    def restore() -> None:
        with database.write() as session:
            for table in reversed(tables):
                session.execute(text(f"DELETE FROM {table.name}"))
            for table, found in zip(tables, rows, strict=True):
                session.execute(table.insert(), found)

    return restore
