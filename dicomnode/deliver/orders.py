"""What operators tell deliveries: send again, cancel, send elsewhere, ask again whether it is kept.

Each is conditional on the state of the row. The caller locks the row (`deliveries.lock`). A sender that has one in hand
notices within a moment, and finishes the instance on the wire.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery, DeliveryItem, Series
from dicomnode.db.repositories import confirmations, deliveries, enhancements
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.instance import Location
from dicomnode.domain.states import DELIVERY

OPEN = DELIVERY.before("cancelled")
"""States in which a delivery can be cancelled, or sent elsewhere."""

AGAIN = ("failed", "cancelled")
"""States in which it can be sent again."""

ASKABLE = ("sent",)
"""States in which its destination can be asked again whether it keeps what it took."""


def requeue(session: Session, row: Delivery, actor: str, node: str) -> int:
    """What is left of a dead letter, or of what was cancelled, is sent after all. Returns how many instances.

    Raises ValueError if the delivery is neither, or if what it delivers is outdated.
    """
    if row.state not in AGAIN:
        raise ValueError(f"delivery {row.id} is {row.state}: only a failed one can be sent again")
    if reason := _outdated(session, row):
        raise ValueError(f"delivery {row.id} is of a derived series that is outdated, and is not sent again: {reason}")
    deliveries.reopen_failed(session, row.id)
    count = deliveries.counts(session, row.id).get("pending", 0)
    row.state, row.reason, row.finished_at = "pending", f"{actor} asked for it", None
    row.attempts, row.returns = 0, 0
    row.not_before = database_now(session)
    _tell(session, row, "delivery.requeued", f"{actor} sends {count} instances again", actor, node)
    return count


def cancel(session: Session, row: Delivery, actor: str, node: str) -> int:
    """Nothing more of it is sent. Returns how many instances were not. Raises ValueError if it is over."""
    if row.state not in OPEN:
        raise ValueError(f"delivery {row.id} is {row.state}: there is nothing to cancel")
    count = sum(each for state, each in deliveries.counts(session, row.id).items() if state != "sent")
    _end(session, row, f"{actor} cancelled it")
    _tell(session, row, "delivery.cancelled", f"{actor} cancelled it; {count} instances were not sent", actor, node)
    return count


def withdraw(session: Session, row: Delivery, reason: str, node: str) -> None:
    """What is left of it is not sent, since what it delivers turned out to be wrong. For one that is `OPEN`."""
    count = sum(each for state, each in deliveries.counts(session, row.id).items() if state != "sent")
    _end(session, row, reason)
    _tell(session, row, "delivery.cancelled", f"{count} instances are not sent: {reason}", "node", node)


def reroute(session: Session, row: Delivery, to: str, actor: str, node: str) -> int:
    """What was not sent yet goes to the destination `to`; this one is cancelled. Returns how many instances.

    Those that go to `to` already, by another rule, are not sent twice; a delivery of them to it that was cancelled is
    sent after all. Raises ValueError if it is over, or goes there.
    """
    if row.state not in OPEN:
        raise ValueError(f"delivery {row.id} is {row.state}: there is nothing to send elsewhere")
    if row.destination == to:
        raise ValueError(f"delivery {row.id} goes to {to} already")
    left = [item for item in deliveries.items(session, row.id) if item.state != "sent"]
    series = session.get_one(Series, row.series_uid)
    target = deliveries.by_subject(session, to, row.subject)
    revived = requeue(session, target, actor, node) if target is not None and target.state == "cancelled" else 0
    count = revived + plan_delivery(
        session,
        to,
        Subject(series.uid, series.study_uid, row.enhancement_id, is_rejection=row.subject.startswith("rejection:")),
        [_sendable(item) for item in left],
        rule=row.rule,
        node=node,
        now=database_now(session),
        priority=row.priority,
    )
    _end(session, row, f"{actor} sends it to {to} instead")
    message = f"{actor} sends {count} instances to {to} instead of {row.destination}"
    _tell(session, row, "delivery.rerouted", message, actor, node, {"to": to, "instances": count})
    return count


def ask_again(session: Session, row: Delivery, actor: str, node: str) -> int:
    """The destination is asked anew whether it keeps what it took, by every way that it may be asked. Returns how many
    instances that is about.

    Raises ValueError if the delivery is not `sent`, or delivers what nobody is asked about.
    """
    if row.state not in ASKABLE:
        raise ValueError(f"delivery {row.id} is {row.state}: only of a sent one is it not known whether it is kept")
    if confirmations.place(session, row) is None:
        raise ValueError(f"delivery {row.id} is of something outdated, or of a note that says so: nobody asks for it")
    count = confirmations.words(session, row.id)[""]
    row.confirm_at = row.not_before = database_now(session)
    row.confirm_attempts, row.confirmation = 0, f"{actor} has it asked again"
    message = f"{actor} has {row.destination} asked again whether it keeps {count} instances"
    _tell(session, row, "delivery.asked_again", message, actor, node, {"instances": count})
    return count


def _outdated(session: Session, row: Delivery) -> str:
    """Why the derived series that it delivers is outdated; empty if it is not. A note that rejects it never is."""
    if row.enhancement_id is None or row.subject != f"enhancement:{row.enhancement_id}":
        return ""
    work = enhancements.find(session, row.enhancement_id)
    return work.reason if work is not None and work.state == "outdated" else ""


def _end(session: Session, row: Delivery, reason: str) -> None:
    row.state, row.reason, row.lease_until = "cancelled", reason, None
    row.finished_at = database_now(session)


def _sendable(item: DeliveryItem) -> Sendable:
    location = Location(item.container, item.offset, item.length)
    return Sendable(item.sop_uid, item.sop_class_uid, item.transfer_syntax_uid, location)


def _tell(
    session: Session,
    row: Delivery,
    kind: str,
    message: str,
    actor: str,
    node: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    record(
        session,
        kind,
        message,
        node=node,
        actor=actor,
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
        detail={"destination": row.destination, **(detail or {})},
    )
