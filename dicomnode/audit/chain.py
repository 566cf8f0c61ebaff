"""The seal: events become links of a hash chain, so that a change to any of them shows.

hash(n) = SHA-256(hash(n-1) || canonical JSON of event n); the first link starts from 64 zeros.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from dicomnode.db.database import Database
from dicomnode.db.models import AuditChain, AuditEvent
from dicomnode.domain.recipe import canonical_json

GENESIS = "0" * 64
BATCH = 1000
WINDOW = 100_000
_LOCK_KEY = 0x61756469  # "audi": PostgreSQL's advisory lock, one sealer at a time among all nodes


@dataclass(frozen=True)
class Verification:
    """The result of `verify`. `first_bad` is the chain's position (seq) that does not hold."""

    ok: bool
    first_bad: int | None
    sealed: int
    reason: str = ""


def link_hash(previous: str, event: AuditEvent) -> str:
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
        last = _last(session)
        previous, seq = (last.hash, last.seq) if last else (GENESIS, 0)
        events = session.scalars(_unsealed(session, everything).limit(BATCH)).all()
        for event in events:
            seq += 1
            previous = link_hash(previous, event)
            session.add(AuditChain(seq=seq, event_id=event.id, hash=previous))
        return len(events)


def _last(session: Session) -> AuditChain | None:
    return session.scalar(select(AuditChain).order_by(AuditChain.seq.desc()).limit(1))


def _unsealed(session: Session, everything: bool) -> Select[AuditEvent]:
    sealed = select(AuditChain.event_id).where(AuditChain.event_id == AuditEvent.id)
    query = select(AuditEvent).where(~sealed.exists()).order_by(AuditEvent.id)
    last = None if everything else _last(session)
    return query.where(AuditEvent.id > last.event_id - WINDOW) if last else query


def verify(database: Database) -> Verification:
    """Seal first, then walk the whole chain: finds events edited, removed or moved, and links removed."""
    sealed = seal(database, everything=True)
    with database.read() as session:
        previous = GENESIS
        rows = session.execute(
            select(AuditChain, AuditEvent)
            .outerjoin(AuditEvent, AuditEvent.id == AuditChain.event_id)
            .order_by(AuditChain.seq)
            .execution_options(yield_per=BATCH)
        )
        for expected, row in enumerate(rows, start=1):
            previous, problem = _check(previous, expected, row[0], row[1])
            if problem:
                return Verification(False, expected, sealed, problem)
    return Verification(True, None, sealed)


def _check(previous: str, expected: int, link: AuditChain, event: AuditEvent | None) -> tuple[str, str]:
    if link.seq != expected:
        return previous, f"link {expected} is missing"
    if event is None:
        return previous, f"event {link.event_id} was deleted"
    computed = link_hash(previous, event)
    return computed, "" if computed == link.hash else f"event {event.id} does not match its seal"


def length(session: Session) -> int:
    """Number of sealed events."""
    return session.scalar(select(func.count()).select_from(AuditChain)) or 0
