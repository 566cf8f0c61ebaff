"""What was derived from a series that turned out to be wrong: marked, its work cancelled, and not sent any further."""

from datetime import timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement, Outdating
from dicomnode.db.repositories import deliveries, enhancements
from dicomnode.deliver import orders
from dicomnode.domain.rejection import Ground
from dicomnode.domain.states import ENHANCEMENT
from dicomnode.flow.context import Flow
from dicomnode.jobs.operators import move

_LAST_ANSWERS = timedelta(seconds=10)
"""A sender notices soon that its delivery was cancelled; then it is known whether the destination has any of it. Should
the instance on the wire take longer than that, its answer makes the note due again (`outdatings.look_again`)."""


def outdate(flow: Flow, session: Session, series_uid: str, ground: Ground) -> int:
    """Mark every derived series of this source as outdated. Returns how many were not yet."""
    return sum(outdate_work(flow, session, row, ground) for row in enhancements.of_series(session, series_uid))


def outdate_work(flow: Flow, session: Session, row: Enhancement, ground: Ground) -> bool:
    """Mark what this work has derived as outdated. Returns whether it was not yet.

    Work that waits or runs, and has made nothing yet, is cancelled: a person may look at the source and have it tried
    again. The row is locked, so that a commit at the same moment is either marked or comes too late. What is still to
    be sent is not.
    """
    enhancements.lock(session, row)
    if row.state == "outdated":
        return False
    if row.state == "done" or enhancements.derived_series(session, row.id) is not None:
        _mark(flow, session, row, ground)
        return True
    if row.state in ENHANCEMENT.before("cancelled"):
        move(row, "cancelled", ground.reason, database_now(session))
        _tell(flow, session, row, "enhancement.cancelled", ground)
    return False


def _mark(flow: Flow, session: Session, row: Enhancement, ground: Ground) -> None:
    now = database_now(session)
    open_ones = [each for each in deliveries.of_enhancement(session, row.id) if each.state in orders.OPEN]
    is_sent_now = any(each.state == "sending" for each in open_ones)
    move(row, "outdated", ground.reason, now)
    session.merge(
        Outdating(
            enhancement_id=row.id,
            code=ground.code,
            reason=ground.reason,
            outdated_at=now,
            note_due_at=now + (_LAST_ANSWERS if is_sent_now else timedelta()),
            note_uid="",
        )
    )
    _tell(flow, session, row, "enhancement.outdated", ground)
    for delivery in open_ones:
        orders.withdraw(session, delivery, ground.reason, flow.node)


def _tell(flow: Flow, session: Session, row: Enhancement, kind: str, ground: Ground) -> None:
    record(
        session,
        kind,
        ground.reason,
        node=flow.node,
        outcome="warning",
        series_uid=row.series_uid,
        subject=f"enhancement:{row.id}",
        detail={"code": ground.code},
    )
