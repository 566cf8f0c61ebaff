"""What receivers noted of storage commitment: reports as they came, and lists that are still arriving."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import CommitmentReport, CommitmentRequest

PATIENCE = timedelta(days=1)
"""For how long a list may lack something and still become evidence, whatever its modality was answered meanwhile."""
AT_ONCE = 50
"""How many lists are looked at with each batch: of more, the newest."""


def keep_report(session: Session, report: CommitmentReport) -> bool:
    """Add a report, to be applied by whoever asked. False: this very one is known."""
    same = (
        (CommitmentReport.transaction_uid == report.transaction_uid)
        & (CommitmentReport.association == report.association)
        & (CommitmentReport.received_at == report.received_at)
    )
    if session.scalar(select(CommitmentReport.id).where(same).limit(1)) is not None:
        return False
    session.add(report)
    session.flush()
    return True


def arriving(session: Session, now: datetime) -> Sequence[int]:
    """Ids of requests of which not all that they list was here when somebody last looked. Lists are large."""
    lacking = CommitmentRequest.arrived_at.is_(None) & (CommitmentRequest.received_at > now - PATIENCE)
    query = select(CommitmentRequest.id).where(lacking).order_by(CommitmentRequest.received_at.desc()).limit(AT_ONCE)
    return session.scalars(query).all()


def arrived(session: Session, request: CommitmentRequest, at: datetime) -> bool:
    """All of it is here. False: another node has said so."""
    query = update(CommitmentRequest).where(CommitmentRequest.id == request.id, CommitmentRequest.arrived_at.is_(None))
    return bool(session.execute(query.values(arrived_at=at)).rowcount)  # type: ignore[attr-defined]
