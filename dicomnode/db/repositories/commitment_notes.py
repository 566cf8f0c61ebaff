"""What receivers noted of storage commitment: reports as they came, and lists that are still arriving."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import literal_column, select, update
from sqlalchemy.orm import Session

from dicomnode.db.models import CommitmentReport, CommitmentRequest

_ARRIVING = CommitmentRequest.arrived_at.is_(None) & (CommitmentRequest.state == literal_column("'waiting'"))
"""In the words of the partial index: no database uses it for a state that is a parameter."""


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


def arriving(session: Session) -> Sequence[CommitmentRequest]:
    """Requests of which not all that they list was here when somebody last looked, the oldest first."""
    return session.scalars(select(CommitmentRequest).where(_ARRIVING).order_by(CommitmentRequest.id)).all()


def arrived(session: Session, request: CommitmentRequest, at: datetime) -> bool:
    """All of it is here. False: another node has said so."""
    query = update(CommitmentRequest).where(CommitmentRequest.id == request.id, CommitmentRequest.arrived_at.is_(None))
    return bool(session.execute(query.values(arrived_at=at)).rowcount)  # type: ignore[attr-defined]
