"""Reading the audit log."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditChain, AuditEvent


def listing(
    session: Session,
    *,
    limit: int,
    kind: str | None = None,
    series_uid: str | None = None,
    study_uid: str | None = None,
) -> Sequence[AuditEvent]:
    """The newest events that pass the filters, oldest of them first. `kind` may be a prefix such as `delivery`."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if kind:
        query = query.where((AuditEvent.kind == kind) | AuditEvent.kind.startswith(f"{kind}.", autoescape=True))
    if series_uid:
        query = query.where(AuditEvent.series_uid == series_uid)
    if study_uid:
        query = query.where(AuditEvent.study_uid == study_uid)
    return session.scalars(query).all()[::-1]


def everything(session: Session) -> Iterator[tuple[AuditEvent, AuditChain | None]]:
    """The whole log with its seals, oldest first, in constant memory, however long the caller takes over each."""
    if session.get_bind().dialect.name != "sqlite":
        session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    query = select(AuditEvent, AuditChain).outerjoin(AuditChain, AuditChain.event_id == AuditEvent.id)
    yield from session.execute(query.order_by(AuditEvent.id).execution_options(yield_per=1000))
