"""Looks at patient data in the audit log: a page that keeps itself up to date is one of them, not thousands."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent

_LOOKED_BACK = 50
"""Events of the same person that are gone through: one more look recorded does no harm, a slow page does."""


def recent(session: Session, actor: str, kind: str, subject: str, since: datetime) -> Sequence[AuditEvent]:
    """Events of this kind and subject among the last few of `actor`, the newest first."""
    query = (
        select(AuditEvent)
        .where(AuditEvent.actor == actor)
        .order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
        .limit(_LOOKED_BACK)
    )
    return [row for row in session.scalars(query) if row.at >= since and (row.kind, row.subject) == (kind, subject)]
