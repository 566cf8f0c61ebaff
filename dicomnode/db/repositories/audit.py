"""Reading the audit log of one thing; `audit_search` is for everything else."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent


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
