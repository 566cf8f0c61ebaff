"""The database about itself, and the end of the audit chain."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditChain, AuditEvent

_SQLITE_SIZE = text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")
_POSTGRESQL_SIZE = text("SELECT pg_database_size(current_database())")


@dataclass(frozen=True)
class ChainHead:
    """The newest link, the time of the event it seals, and how many events after that one are not sealed yet."""

    seq: int
    hash: str
    at: datetime
    unsealed: int


def size(session: Session) -> int:
    """Bytes of the database; of SQLite without what still lies in its write-ahead log."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return int(session.scalar(_SQLITE_SIZE if is_sqlite else _POSTGRESQL_SIZE) or 0)


def version(session: Session) -> str:
    """What the server, or the library, calls itself."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    said = session.scalar(text("SELECT sqlite_version()" if is_sqlite else "SHOW server_version"))
    return f"{'SQLite' if is_sqlite else 'PostgreSQL'} {said}"


def trivial(session: Session) -> None:
    """A statement that costs nothing but the way there and back."""
    session.execute(text("SELECT 1")).one()


def chain_head(session: Session, most: int = 1000) -> ChainHead | None:
    """The end of the audit chain; None before the first seal. `unsealed` is counted up to `most`."""
    query = select(AuditChain, AuditEvent.at).join(AuditEvent, AuditEvent.id == AuditChain.event_id)
    row = session.execute(query.order_by(AuditChain.seq.desc()).limit(1)).first()
    if row is None:
        return None
    link, at = row
    later = select(AuditEvent.id).where(AuditEvent.id > link.event_id).limit(most)
    return ChainHead(link.seq, link.hash, at, len(session.scalars(later).all()))
