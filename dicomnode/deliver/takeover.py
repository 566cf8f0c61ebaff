"""Deliveries that nobody sends any more, though they say so: of this node's earlier life, or of one that is gone."""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, delivery_claims
from dicomnode.deliver import noted


def release_own(session: Session, root: Path, node: str) -> int:
    """At the node's start: what it was sending goes on where it was. Returns how many deliveries.

    What it noted of their answers goes into SQL in the same transaction, before any other node may claim them.
    """
    rows = delivery_claims.sent_by(session, node)
    _record(session, root, node)
    for row in rows:
        row.state, row.lease_until, row.reason = "pending", None, "the node restarted"
    return len(rows)


def take_over(session: Session, root: Path, destination: str, node: str, own: Collection[int] = ()) -> int:
    """Free what is to go to `destination` and whose lease has run out. Returns how many deliveries.

    `own`: those that the asking sender has in hand. What the others noted of the answers goes into SQL first.
    """
    rows = delivery_claims.lapsed(session, destination, own)
    for other in sorted({row.node for row in rows} - {""}):
        _record(session, root, other, destination)
    for row in rows:
        _free(session, row, node)
    return len(rows)


def _record(session: Session, root: Path, node: str, destination: str | None = None) -> None:
    answers = noted.read_all(root, node) if destination is None else noted.read(noted.path_of(root, node, destination))
    if answers:
        deliveries.record_answers(session, answers)


def _free(session: Session, row: Delivery, node: str) -> None:
    reason = f"node {row.node} has not renewed its lease"
    row.state, row.lease_until, row.reason = "pending", None, reason
    record(
        session,
        "delivery.taken_over",
        f"{row.destination}: {reason}; what it had no answer for is sent by whoever claims it",
        node=node,
        outcome="warning",
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
        detail={"destination": row.destination, "from": row.node, "claim": row.claim},
    )
