"""The seal: events become links of a hash chain, so that a change to any of them shows.

hash(n) = SHA-256(hash(n-1) || canonical JSON of event n); the first link starts from 64 zeros.
"""

import hashlib
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.models import AuditChain, AuditEvent
from dicomnode.domain.recipe import canonical_json

GENESIS = "0" * 64
BATCH = 1000
WINDOW = 100_000
_LOCK_KEY = 0x61756469  # "audi": PostgreSQL's advisory lock, one sealer at a time among all nodes


class Sealed(Protocol):
    """What a link seals: an AuditEvent, or a row with its columns."""

    id: Any
    at: Any
    node: Any
    actor: Any
    kind: Any
    outcome: Any
    study_uid: Any
    series_uid: Any
    subject: Any
    message: Any
    detail: Any


def link_hash(previous: str, event: Sealed) -> str:
    """The hash of the link that seals `event` after `previous`."""
    fields = {
        "id": event.id,
        "at": _instant(event.at),
        "node": event.node,
        "actor": event.actor,
        "kind": event.kind,
        "outcome": event.outcome,
        "study_uid": event.study_uid,
        "series_uid": event.series_uid,
        "subject": event.subject,
        "message": event.message,
        "detail": event.detail,
    }
    return hashlib.sha256((previous + canonical_json(fields)).encode()).hexdigest()


def _instant(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def seal(database: Database, *, everything: bool = False) -> int:
    """Seal what is visible and unsealed, oldest first. Returns how many events were sealed.

    Looks back WINDOW ids behind the newest seal, for events of transactions that became visible out of order;
    `everything` looks at the whole log.
    """
    total = 0
    while sealed := _seal_batch(database, everything):
        total += sealed
    return total


def _seal_batch(database: Database, everything: bool) -> int:
    with database.read() as session:
        if session.scalar(_unsealed(session, everything).limit(1)) is None:
            return 0
    with database.write() as session:
        if not database.is_sqlite:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        end = last(session)
        previous, seq = (end.hash, end.seq) if end else (GENESIS, 0)
        events = session.scalars(_unsealed(session, everything).limit(BATCH)).all()
        for event in events:
            seq += 1
            previous = link_hash(previous, event)
            session.add(AuditChain(seq=seq, event_id=event.id, hash=previous))
        return len(events)


_HAS_NO_LINK = ~select(AuditChain.event_id).where(AuditChain.event_id == AuditEvent.id).exists()
_DRAWN = func.pg_sequence_last_value(func.pg_get_serial_sequence(AuditEvent.__tablename__, "id"))
"""The number that PostgreSQL gave last. An event that was put in with a number of its own, far ahead, says nothing
of where the next ones come: with that for an end, nothing was sealed any more."""


def _unsealed(session: Session, everything: bool) -> Select[AuditEvent]:
    query = select(AuditEvent).where(_HAS_NO_LINK).order_by(AuditEvent.id)
    end = None if everything else last(session)
    if end is None:
        return query
    is_sqlite = session.get_bind().dialect.name == "sqlite"  # which numbers from the highest on, whoever gave that
    newest = end.event_id if is_sqlite else func.least(end.event_id, func.coalesce(_DRAWN, end.event_id))
    return query.where(AuditEvent.id > newest - WINDOW)


def waiting(database: Database) -> tuple[int, datetime | None]:
    """How many events of the whole log have no seal yet, and of when the oldest is."""
    with database.read() as session:
        count, oldest = session.execute(select(func.count(), func.min(AuditEvent.at)).where(_HAS_NO_LINK)).one()
    return count, oldest


def last(session: Session) -> AuditChain | None:
    """The chain's last link; None where nothing is sealed yet."""
    return session.scalar(select(AuditChain).order_by(AuditChain.seq.desc()).limit(1))


def link(session: Session, seq: int) -> AuditChain | None:
    """One link by its position, from 1."""
    return session.scalar(select(AuditChain).where(AuditChain.seq == seq))


def length(session: Session) -> int:
    """Number of sealed events: the position of the last link, as links are numbered without gaps."""
    return session.scalar(select(func.max(AuditChain.seq))) or 0
