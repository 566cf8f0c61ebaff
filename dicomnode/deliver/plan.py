"""Planning deliveries: what is to be sent where. Runs in the transaction that makes it necessary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries, reroutes
from dicomnode.domain.instance import Location
from dicomnode.domain.states import DELIVERED

NORMAL = 1


@dataclass(frozen=True)
class Sendable:
    """One stored instance that is to go out, byte for byte as it lies there."""

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    location: Location


@dataclass(frozen=True)
class Subject:
    """What a delivery delivers: outputs of an enhancement, a note that rejects them, or originals of a series."""

    series_uid: str
    study_uid: str
    enhancement_id: int | None = None
    is_rejection: bool = False

    @property
    def words(self) -> str:
        """What it is, for an administrator."""
        if self.enhancement_id is None:
            return "the originals"
        return "a rejection note" if self.is_rejection else "the derived series"

    def __str__(self) -> str:
        if self.enhancement_id is None:
            return f"series:{self.series_uid}"
        return f"{'rejection' if self.is_rejection else 'enhancement'}:{self.enhancement_id}"


def plan_delivery(
    session: Session,
    destination: str,
    subject: Subject,
    instances: Sequence[Sendable],
    *,
    rule: str,
    node: str,
    now: datetime,
    priority: int = NORMAL,
) -> int:
    """See to it that `destination` gets these instances once. Returns how many were not planned before.

    A finished delivery that gains an instance (a late slice) is pending again, for that instance alone. Bytes that lie
    elsewhere than when they were planned came again after the first were given up: a new arrival, sent like one. Of
    several priorities (as in `Enhancement`) the most urgent counts. What joins a delivery that an operator sent
    elsewhere goes there as well.
    """
    row = deliveries.by_subject(session, destination, str(subject))
    known = deliveries.locations(session, row.id, [instance.sop_uid for instance in instances]) if row else {}
    fresh = [instance for instance in instances if known.get(instance.sop_uid) != instance.location]
    if not fresh:
        return 0
    if row is not None and row.state == "cancelled" and (to := reroutes.targets(session, [row.id])):
        return plan_delivery(
            session, to[row.id], subject, fresh, rule=rule, node=node, now=now, priority=min(row.priority, priority)
        )
    if row is None:
        row = _create(session, destination, subject, rule, node, now, priority)
    elif row.state == "failed" or row.state in DELIVERED:
        _reopen(row, now)
    row.priority = min(row.priority, priority)
    again = {instance.sop_uid: _columns(instance) for instance in fresh if instance.sop_uid in known}
    for item in deliveries.items(session, row.id) if again else ():
        for name, value in again.get(item.sop_uid, {}).items():
            setattr(item, name, value)
    new = [{"delivery_id": row.id, **_columns(one)} for one in fresh if one.sop_uid not in known]
    deliveries.insert_items(session, new)
    session.flush()
    return len(fresh)


def _columns(instance: Sendable) -> dict[str, Any]:
    """What an item says of an instance that waits to be sent."""
    return {
        "sop_uid": instance.sop_uid,
        "sop_class_uid": instance.sop_class_uid,
        "transfer_syntax_uid": instance.transfer_syntax_uid,
        "container": instance.location.container,
        "offset": instance.location.offset,
        "length": instance.location.length,
        "state": "pending",
        "confirmed_at": None,
        "confirmed_by": "",
    }


def _reopen(row: Delivery, now: datetime) -> None:
    """What was confirmed of it was confirmed without what joins it now."""
    row.state, row.not_before, row.finished_at = "pending", now, None
    row.confirm_at, row.confirm_attempts, row.confirmation = None, 0, ""


def _create(
    session: Session, destination: str, subject: Subject, rule: str, node: str, now: datetime, priority: int
) -> Delivery:
    row = Delivery(
        destination=destination,
        subject=str(subject),
        series_uid=subject.series_uid,
        enhancement_id=subject.enhancement_id,
        rule=rule,
        state="pending",
        not_before=now,
        created_at=now,
        priority=priority,
    )
    if not deliveries.add(session, row):  # another node has just planned other instances of it
        found = deliveries.by_subject(session, destination, str(subject))
        assert found is not None
        return found
    record(
        session,
        "delivery.created",
        f"{subject.words} will go to {destination}, as rule {rule!r} says",
        node=node,
        study_uid=subject.study_uid,
        series_uid=subject.series_uid,
        subject=f"delivery:{row.id}",
        detail={"destination": destination, "rule": rule, "subject": str(subject)},
    )
    return row
