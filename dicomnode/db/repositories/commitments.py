"""Storage commitment as SCU: transactions that this node asked for, and the reports that came, whoever took them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dicomnode.db.database import now
from dicomnode.db.models import Commitment, CommitmentReport
from dicomnode.domain.states import COMMITMENT


def ask(
    session: Session, delivery_id: int, destination: str, node: str, sop_uids: Sequence[str], wait: timedelta
) -> Commitment:
    """A new transaction, whose report is waited for so long. Commit it before the request goes out.

    Its UID is drawn (PS3.5 B.2): who knows it has the request.
    """
    instant = now(session)
    row = Commitment(
        transaction_uid=f"2.25.{uuid4().int}",
        delivery_id=delivery_id,
        destination=destination,
        node=node,
        state="asked",
        sop_uids=list(sop_uids),
        asked_at=instant,
        due_at=instant + wait,
    )
    session.add(row)
    session.flush()
    return row


def find(session: Session, transaction_uid: str) -> Commitment | None:
    """The transaction as it is now."""
    return session.get(Commitment, transaction_uid, populate_existing=True)


def move(session: Session, transaction_uid: str, state: str, reason: str = "") -> bool:
    """Along an arrow of `COMMITMENT`. False: none leads there from where the transaction is, and nothing changed."""
    query = update(Commitment).where(Commitment.transaction_uid == transaction_uid)
    query = query.where(Commitment.state.in_(COMMITMENT.before(state)))
    return _changed(session, query.values(state=state, reason=reason, due_at=None)) == 1


def lapse(session: Session, delivery_id: int, reason: str) -> int:
    """No report came of what was asked for this delivery; one that comes still counts. Returns of how many."""
    query = update(Commitment).where(Commitment.delivery_id == delivery_id, Commitment.state == "asked")
    return _changed(session, query.values(state="lapsed", reason=reason, due_at=None))


def asked_since(session: Session, delivery_id: int, since: datetime) -> int:
    """Number of transactions asked for a delivery since then."""
    query = select(func.count()).where(Commitment.delivery_id == delivery_id, Commitment.asked_at >= since)
    return session.scalar(query) or 0


def of_delivery(session: Session, delivery_id: int) -> Sequence[Commitment]:
    query = select(Commitment).where(Commitment.delivery_id == delivery_id)
    return session.scalars(query.order_by(Commitment.asked_at, Commitment.transaction_uid)).all()


def open_report(session: Session) -> CommitmentReport | None:
    """The oldest report that was not applied yet, locked; what another node looks at is passed over."""
    query = select(CommitmentReport).where(CommitmentReport.applied_at.is_(None))
    return session.scalar(query.order_by(CommitmentReport.id).limit(1).with_for_update(skip_locked=True))


def anything_reported(session: Session) -> bool:
    """Whether `open_report` would find something; a read."""
    query = select(CommitmentReport.id).where(CommitmentReport.applied_at.is_(None))
    return session.connection().execute(query.limit(1)).first() is not None


def listing(session: Session, limit: int, state: str | None = None) -> Sequence[Commitment]:
    """The newest first."""
    query = select(Commitment).order_by(Commitment.asked_at.desc(), Commitment.transaction_uid).limit(limit)
    return session.scalars(query.where(Commitment.state == state) if state else query).all()


def reports(session: Session, transaction_uid: str) -> Sequence[CommitmentReport]:
    """All reports that came under this Transaction UID, asked for or not, in their order."""
    query = select(CommitmentReport).where(CommitmentReport.transaction_uid == transaction_uid)
    return session.scalars(query.order_by(CommitmentReport.id)).all()


def _changed(session: Session, query: Any) -> int:
    changed = session.execute(query, execution_options={"synchronize_session": False})
    return int(changed.rowcount)  # type: ignore[attr-defined]
