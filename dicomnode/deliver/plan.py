"""Planning deliveries: what is to be sent where. Runs in the transaction that makes it necessary."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries
from dicomnode.domain.instance import Location
from dicomnode.domain.states import DELIVERED


@dataclass(frozen=True)
class Sendable:
    """One stored instance that is to go out, byte for byte as it lies there."""

    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    location: Location


@dataclass(frozen=True)
class Subject:
    """What a delivery delivers: the outputs of an enhancement, or the originals of a series."""

    series_uid: str
    study_uid: str
    enhancement_id: int | None = None

    def __str__(self) -> str:
        return f"series:{self.series_uid}" if self.enhancement_id is None else f"enhancement:{self.enhancement_id}"


def plan_delivery(
    session: Session,
    destination: str,
    subject: Subject,
    instances: Sequence[Sendable],
    *,
    rule: str,
    node: str,
    now: datetime,
) -> int:
    """See to it that `destination` gets these instances once. Returns how many were not planned before.

    A finished delivery that gains an instance (a late slice) is pending again, for that instance alone. Bytes that lie
    elsewhere than when they were planned came again after the first were given up: a new arrival, sent like one.
    """
    row = deliveries.by_subject(session, destination, str(subject))
    known = deliveries.locations(session, row.id, [instance.sop_uid for instance in instances]) if row else {}
    fresh = [instance for instance in instances if known.get(instance.sop_uid) != instance.location]
    if not fresh:
        return 0
    if row is None:
        row = _create(session, destination, subject, rule, node, now)
    elif row.state == "failed" or row.state in DELIVERED:
        row.state, row.not_before, row.finished_at, row.confirm_at = "pending", now, None, None
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


def _create(session: Session, destination: str, subject: Subject, rule: str, node: str, now: datetime) -> Delivery:
    row = Delivery(
        destination=destination,
        subject=str(subject),
        series_uid=subject.series_uid,
        enhancement_id=subject.enhancement_id,
        rule=rule,
        state="pending",
        not_before=now,
        created_at=now,
    )
    session.add(row)
    session.flush()
    what = "the originals" if subject.enhancement_id is None else "the derived series"
    record(
        session,
        "delivery.created",
        f"{what} will go to {destination}, as rule {rule!r} says",
        node=node,
        study_uid=subject.study_uid,
        series_uid=subject.series_uid,
        subject=f"delivery:{row.id}",
        detail={"destination": destination, "rule": rule, "subject": str(subject)},
    )
    return row


def requeue(session: Session, row: Delivery, actor: str, node: str) -> int:
    """An operator wants a dead letter sent again: its failed instances are pending once more. Returns how many.

    Raises ValueError if the delivery is not a dead letter.
    """
    if row.state not in ("failed", "cancelled"):
        raise ValueError(f"delivery {row.id} is {row.state}: only a failed one can be sent again")
    count = deliveries.reopen_failed(session, row.id)
    row.state, row.reason, row.finished_at, row.returns = "pending", f"{actor} asked for it", None, 0
    row.not_before = database_now(session)
    record(
        session,
        "delivery.requeued",
        f"{actor} sends {count} instances again",
        node=node,
        actor=actor,
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
    )
    return count
