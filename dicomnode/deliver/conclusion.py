"""How a delivery goes on once its associations are over: sent, a dead letter, or pending until its time comes again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, delivery_claims
from dicomnode.db.repositories.delivery_claims import Claimed
from dicomnode.deliver.claim import Ending
from dicomnode.deliver.outage import came_up, went_down


@dataclass(frozen=True)
class Attempt:
    """What came of an attempt: how many final answers, and what ended it early, if anything did.

    was_probe   the destination was down when it began
    is_alone    this node has no other association to the destination that works
    transcoded  instances that were not sent as they are stored, by "from X to Y"
    """

    claimed: Claimed
    destination: str
    node: str
    answered: int
    ending: Ending = Ending.NOTHING
    reason: str = ""
    was_probe: bool = False
    is_alone: bool = True
    transcoded: Mapping[str, int] = field(default_factory=dict)

    @property
    def blames_destination(self) -> bool:
        """Whether others need not try what this one could not do: rather the destination's fault."""
        for_all = self.ending in (Ending.RESOURCES, Ending.CONFIGURATION)
        silent = self.ending in (Ending.UNREACHABLE, Ending.LOST) and not self.answered
        return self.is_alone and (for_all or silent)


def conclude(session: Session, attempt: Attempt, delay_after: Callable[[str, int], float]) -> None:
    """Move the delivery on, unless it was taken over, cancelled or sent elsewhere meanwhile.

    `delay_after(kind, attempts)` is the back-off in seconds (`outage.KINDS`).
    """
    if attempt.answered and attempt.ending is not Ending.RESOURCES:
        came_up(session, attempt.destination, attempt.node)
    row = delivery_claims.fenced(session, attempt.claimed)
    if row is None:
        return
    row.lease_until = None
    counts = deliveries.counts(session, row.id)
    if counts.get("pending") and attempt.ending is Ending.NOTHING:
        row.state, row.reason, row.attempts = "pending", "", 0  # they joined while the others were sent
    elif counts.get("pending") and attempt.ending is Ending.INTERRUPTED:
        row.state, row.reason = "pending", attempt.reason
    elif counts.get("pending"):
        _postpone(session, row, attempt, delay_after)
    elif counts.get("failed"):
        _finish(session, row, "failed", _dead_letter(session, row, counts), counts, attempt)
    else:
        _finish(session, row, "sent", "", counts, attempt)


def _postpone(session: Session, row: Delivery, attempt: Attempt, delay_after: Callable[[str, int], float]) -> None:
    row.attempts = 1 if attempt.answered else row.attempts + 1
    row.state, row.reason = "pending", attempt.reason
    instant = database_now(session)
    if attempt.blames_destination:  # which rests, with all that waits for it
        delay = went_down(
            session,
            attempt.destination,
            attempt.ending,
            attempt.reason,
            delay_after,
            node=attempt.node,
            was_probe=attempt.was_probe,
        )
        if not attempt.answered:
            row.not_before = instant  # behind its like: another one may fare better
    else:
        delay = delay_after("network", row.attempts)
        row.not_before = instant + timedelta(seconds=delay)
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


def _finish(
    session: Session, row: Delivery, state: str, reason: str, counts: Mapping[str, int], attempt: Attempt
) -> None:
    row.state, row.reason, row.attempts = state, reason, 0
    row.finished_at = database_now(session)
    row.confirm_at, row.confirm_attempts = row.finished_at if state == "sent" else None, 0
    total = sum(counts.values())
    warned = deliveries.warnings(session, row.id)
    taken = f"{attempt.destination} took {total} of {total} instances"
    if warned:
        taken += f", {warned} of them with a warning"
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
            "warnings": warned,
            "subject": row.subject,
            **_transcoded(attempt),
        },
    )


def _transcoded(attempt: Attempt) -> dict[str, dict[str, int]]:
    return {"transcoded": dict(attempt.transcoded)} if attempt.transcoded else {}


def _dead_letter(session: Session, row: Delivery, counts: Mapping[str, int]) -> str:
    first = next(item for item in deliveries.items(session, row.id) if item.state == "failed")
    return f"{counts['failed']} of {sum(counts.values())} instances were refused for good: {first.detail}"
