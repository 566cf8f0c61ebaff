"""What happened to a job, a delivery or a destination, and which rules asked for a job."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent, RuleDecision

MOST = 200
"""A destination that was paused a thousand times is told of by its newest events."""


def about(session: Session, subject: str, limit: int = MOST) -> Sequence[AuditEvent]:
    """The newest events about it, the oldest of them first."""
    query = select(AuditEvent).where(AuditEvent.subject == subject).order_by(AuditEvent.id.desc()).limit(limit)
    return session.scalars(query).all()[::-1]


def decisions_for(session: Session, enhancement_id: int) -> Sequence[RuleDecision]:
    """The rules' decisions that ask for this job, of every generation."""
    query = select(RuleDecision).where(RuleDecision.enhancement_id == enhancement_id)
    return session.scalars(query.order_by(RuleDecision.id).limit(MOST)).all()
