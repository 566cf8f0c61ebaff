"""A destination that is down: one attempt for each step of its back-off, over all lanes and nodes; up at one answer.

It is the destination that rests, not the deliveries to it: when the one attempt succeeds, all that waits goes at once.
A configuration error is told, and asked about rarely: who mends it need not tell the node.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Outage
from dicomnode.db.repositories import outages
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.claim import Ending
from dicomnode.observe import log

KINDS = {
    Ending.LOST: "network",
    Ending.UNREACHABLE: "network",
    Ending.RESOURCES: "resources",
    Ending.CONFIGURATION: "configuration",
}
"""What an outage is called after that which kept a claim from its last instance."""


@dataclass(frozen=True)
class Patience:
    """How long is waited after so many failed attempts, in seconds, and after an association refused for good."""

    backoff: Backoff
    refused: Backoff

    def delay(self, kind: str, attempts: int, random: Random) -> float:
        return (self.refused if kind == "configuration" else self.backoff).delay(attempts, random)


def went_down(
    session: Session,
    destination: str,
    ending: Ending,
    reason: str,
    delay_after: Callable[[str, int], float],
    *,
    node: str,
    was_probe: bool,
) -> float:
    """An attempt failed for the destination's sake. Returns for how many seconds it is left alone.

    `delay_after(kind, attempts)` is the back-off. Attempts that were under way together count as one.
    """
    kind, instant = KINDS[ending], database_now(session)
    row = outages.lock(session, destination)
    if row is None:
        row = outages.begin(session, destination, kind, reason)
        if row is None:  # another node was quicker
            return 0.0
        _tell(session, row, node)
    elif was_probe:
        row.attempts += 1
        is_news = row.kind != kind
        row.kind, row.reason = kind, reason
        if is_news:
            _tell(session, row, node)
    else:
        return max(0.0, (row.next_at - instant).total_seconds())
    delay = delay_after(kind, row.attempts)
    row.next_at = instant + timedelta(seconds=delay)
    return delay


def came_up(session: Session, destination: str, node: str) -> None:
    """The destination gave an answer: if it was down, it is no longer."""
    row = outages.lock(session, destination)
    if row is None or not outages.end(session, destination):
        return
    message = f"{destination} answers again, after {row.attempts} attempts that failed: {row.reason}"
    detail = {"destination": destination, "attempts": row.attempts, "since": row.since.isoformat()}
    record(session, "destination.up", message, node=node, subject=f"destination:{destination}", detail=detail)
    log.info("destination answers again", destination=destination, attempts=row.attempts)


def _tell(session: Session, row: Outage, node: str) -> None:
    is_stopped = row.kind == "configuration"
    record(
        session,
        "destination.stopped" if is_stopped else "destination.down",
        f"{row.destination}: {row.reason}",
        node=node,
        outcome="failure",
        subject=f"destination:{row.destination}",
        detail={"destination": row.destination, "kind": row.kind},
    )
    say = log.error if is_stopped else log.warning
    say("nothing is sent to a destination", destination=row.destination, kind=row.kind, reason=row.reason)
