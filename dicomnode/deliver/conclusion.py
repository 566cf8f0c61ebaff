"""How a delivery goes on once its associations are over: sent, a dead letter, or pending until its time comes again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt: how many final answers, and why it ended early, if it did.

    unreachable  consecutive attempts, this one included, that brought no association at all
    is_stopping  the node stops: what is left goes on at the next start, without any back-off
    transcoded   instances that were not sent as they are stored, by "from X to Y"
    """

    destination: str
    node: str
    answered: int
    reason: str
    unreachable: int = 0
    is_stopping: bool = False
    transcoded: Mapping[str, int] = field(default_factory=dict)


def conclude(session: Session, delivery_id: int, attempt: Attempt, delay_after: Callable[[int], float]) -> float:
    """Move the delivery on. `delay_after(attempts)` is the back-off in seconds.

    Returns for how many seconds the destination as a whole is left alone: 0, unless it cannot be reached.
    """
    row = session.get_one(Delivery, delivery_id)
    counts = deliveries.counts(session, delivery_id)
    if counts.get("pending") and not attempt.reason:
        row.state, row.reason, row.attempts = "pending", "", 0  # they joined while the others were sent
    elif counts.get("pending") and attempt.is_stopping:
        row.state, row.reason = "pending", attempt.reason
    elif counts.get("pending"):
        return _postpone(session, row, attempt, delay_after)
    elif counts.get("failed"):
        _finish(session, row, "failed", _dead_letter(session, row, counts), counts, attempt)
    else:
        _finish(session, row, "sent", "", counts, attempt)
    return 0.0


def _postpone(session: Session, row: Delivery, attempt: Attempt, delay_after: Callable[[int], float]) -> float:
    row.attempts = 1 if attempt.answered else row.attempts + 1
    delay = delay_after(max(row.attempts, attempt.unreachable))
    until = database_now(session) + timedelta(seconds=delay)
    row.state, row.not_before, row.reason = "pending", until, attempt.reason
    if attempt.unreachable:
        deliveries.postpone_all(session, attempt.destination, until, attempt.reason)
    record(
        session,
        "delivery.retry",
        f"{attempt.destination}: {attempt.reason}; next attempt in {delay:.0f} s",
        node=attempt.node,
        outcome="failure",
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
        detail={
            "destination": attempt.destination,
            "attempts": row.attempts,
            "seconds": round(delay, 1),
            **_transcoded(attempt),
        },
    )
    return delay if attempt.unreachable else 0.0


def _finish(
    session: Session, row: Delivery, state: str, reason: str, counts: Mapping[str, int], attempt: Attempt
) -> None:
    row.state, row.reason, row.attempts = state, reason, 0
    row.finished_at = database_now(session)
    total = sum(counts.values())
    taken = f"{attempt.destination} took {total} of {total} instances"
    for what, count in sorted(attempt.transcoded.items()):
        taken += f", {count} of them transcoded {what}"
    record(
        session,
        f"delivery.{state}",
        reason or taken,
        node=attempt.node,
        outcome="success" if state == "sent" else "failure",
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
        detail={
            "destination": attempt.destination,
            "counts": counts,
            "subject": row.subject,
            **_transcoded(attempt),
        },
    )


def _transcoded(attempt: Attempt) -> dict[str, dict[str, int]]:
    return {"transcoded": dict(attempt.transcoded)} if attempt.transcoded else {}


def _dead_letter(session: Session, row: Delivery, counts: Mapping[str, int]) -> str:
    first = next(item for item in deliveries.items(session, row.id) if item.state == "failed")
    return f"{counts['failed']} of {sum(counts.values())} instances were refused for good: {first.detail}"
