"""Revisions of the site data, and what rules decided."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, RuleDecision, SiteRevision


def newest(session: Session) -> SiteRevision | None:
    """The revision in force."""
    return session.scalar(select(SiteRevision).order_by(SiteRevision.number.desc()).limit(1))


def newest_number(session: Session) -> int:
    """Number of the revision in force; 0 before the first import."""
    return session.scalar(select(func.max(SiteRevision.number))) or 0


def hold(session: Session) -> SiteRevision | None:
    """The revision in force; nobody puts another one in force until this transaction ends."""
    while True:
        query = select(SiteRevision).order_by(SiteRevision.number.desc()).limit(1)
        row = session.scalar(query.with_for_update(key_share=True))  # who decides by it meanwhile does not wait
        if row is None or row.number == newest_number(session):
            return row


def revision(session: Session, number: int) -> SiteRevision | None:
    """One revision."""
    return session.get(SiteRevision, number)


def revisions(session: Session, before: int | None, limit: int) -> Sequence[SiteRevision]:
    """The newest revisions, or those before a number; the newest first."""
    query = select(SiteRevision).order_by(SiteRevision.number.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(SiteRevision.number < before)).all()


def add(
    session: Session,
    document: Mapping[str, Any],
    author: str,
    comment: str,
    at: datetime,
    *,
    origin: str = "import",
    replay_id: int | None = None,
    restores: int | None = None,
) -> int:
    """Add a revision, which is in force from the commit on. Returns its number."""
    row = SiteRevision(created_at=at, author=author, comment=comment, document=dict(document), origin=origin)
    row.replay_id, row.restores = replay_id, restores
    session.add(row)
    session.flush()
    return row.number


def open_deliveries_to(session: Session, destinations: Sequence[str]) -> dict[str, int]:
    """How many deliveries to each of these destinations are not finished."""
    query = (
        select(Delivery.destination, func.count())
        .where(Delivery.destination.in_(destinations), Delivery.state.in_(("pending", "sending")))
        .group_by(Delivery.destination)
    )
    return dict(session.execute(query).all())


def decisions(session: Session, series_uid: str) -> Sequence[RuleDecision]:
    """What rules decided for a series, oldest first."""
    query = select(RuleDecision).where(RuleDecision.series_uid == series_uid).order_by(RuleDecision.id)
    return session.scalars(query).all()


def matches_of(session: Session, enhancement_id: int) -> Sequence[RuleDecision]:
    """The live decisions that ask for this enhancement."""
    query = select(RuleDecision).where(
        RuleDecision.enhancement_id == enhancement_id, RuleDecision.matched, RuleDecision.rule_state == "live"
    )
    return session.scalars(query.order_by(RuleDecision.id)).all()


def point_to(session: Session, enhancement_id: int, other_id: int, why: str) -> None:
    """Decisions that ask for one piece of work ask for another from now on, and say why."""
    query = update(RuleDecision).where(RuleDecision.enhancement_id == enhancement_id)
    session.execute(query.values(enhancement_id=other_id, outcome=RuleDecision.outcome + f"; {why}"))
