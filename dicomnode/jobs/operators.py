"""What an operator does to a piece of work: cancel it, or have it tried again."""

from datetime import datetime

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import enhancements
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.jobs.work import subject_of

RETRIABLE = tuple(state for state in ENHANCEMENT.before("ready") if state not in ("running", "done"))
"""Work that is done stays done: its outputs are out, and nothing of it is left to be made."""
CANCELLABLE = ENHANCEMENT.before("cancelled")


def operator_moves(session: Session, row: Enhancement, state: str, actor: str, node: str, at: datetime) -> None:
    """An operator cancels (`cancelled`) or retries (`ready`) work; ValueError when its state does not allow that."""
    enhancements.lock(session, row)
    if row.state not in (RETRIABLE if state == "ready" else CANCELLABLE):
        raise ValueError(f"job {row.id} is {row.state}: it cannot become {state}")
    move(row, state, f"{actor} asked for it", at)
    kind = "enhancement.cancelled" if state == "cancelled" else "enhancement.retried"
    message, subject = f"{actor}: {state}", subject_of(row.id)
    record(session, kind, message, node=node, actor=actor, series_uid=row.series_uid, subject=subject)


def move(row: Enhancement, state: str, reason: str, at: datetime) -> None:
    """Put a locked row into a state; whatever ran is no longer anybody's."""
    row.state, row.failures, row.not_before = state, 0, at
    row.lease_until, row.worker, row.reason = None, "", reason
    if state == "ready":  # who asks for a retry wants this result, late as it is
        row.deadline_at, row.rerouted_to = None, None
