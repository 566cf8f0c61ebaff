"""What a destination's word on the instances that it took does to their delivery (`domain.states.DELIVERY`).

Every function changes a delivery that its caller has locked, and writes the audit event of the change.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import confirmations

By = Literal["commitment", "query"]

_UNCONFIRMED = ("sent", "verified")
"""States in which a delivery moves by the destination's word; in the others it says something of instances alone."""

_FOR_GOOD = {
    0x0119: "the destination knows it under another SOP class",
    0x0122: "the destination does not take its SOP class",
}
_FOR_NOW = {
    0x0110: "the destination failed to process it",
    0x0112: "the destination has no such instance",
    0x0131: "the destination had seen the Transaction UID before",
    0x0213: "the destination lacks room for it",
}


@dataclass(frozen=True)
class Loss:
    """Why an instance is not kept. One that is lost for good is not sent again."""

    words: str
    for_good: bool = False


def loss(reason: int) -> Loss:
    """What a Failure Reason (0008,1197) means (PS3.3 C.14.1.1)."""
    words = _FOR_GOOD.get(reason) or _FOR_NOW.get(reason) or "a reason that PS3.3 C.14.1.1 does not know"
    return Loss(f"{reason:04X}: {words} (PS3.3 C.14.1.1)", reason in _FOR_GOOD)


def counts_from(row: Delivery) -> datetime:
    """Since when it counts how often the destination was asked: since the delivery was last sent, or since somebody
    had it asked again (`orders.ask_again`)."""
    return max(row.not_before, row.finished_at or row.not_before)


def vouch(session: Session, row: Delivery, sop_uids: Collection[str], by: By, node: str) -> None:
    """The destination keeps these instances; a delivery that has nothing else in it is `committed`, or `verified`."""
    confirmations.vouch(session, row.id, sop_uids, by)
    settle(session, row, node)


def settle(session: Session, row: Delivery, node: str) -> bool:
    """Move on what the destination vouched for as a whole. False: it has not, or the delivery is not that far."""
    counts = confirmations.words(session, row.id)
    if row.state not in _UNCONFIRMED or counts[""]:
        return False
    state = "verified" if counts["query"] else "committed"
    row.confirm_at, row.confirm_attempts = None, 0
    if row.state != state:
        total = counts.total()
        words = "named all {} instances by C-FIND" if state == "verified" else "reported that it keeps all {} instances"
        row.state, row.confirmation = state, f"{row.destination} {words.format(total)}"
        _record(session, row, f"delivery.{state}", row.confirmation, node, detail={"counts": dict(counts)})
    return True


def send_again(
    session: Session, row: Delivery, lost: Mapping[str, Loss], asked_at: datetime, returns: int, node: str
) -> int:
    """The destination does not keep these instances that it took. They are sent again, `returns` times at most.

    `asked_at`: when it was asked; an instance that was sent since is not meant. Returns how many it concerned.
    """
    if row.state == "cancelled" or confirmations.place(session, row) is None:
        return 0
    again, given_up = 0, 0
    for uid, why in lost.items():
        failed = why.for_good or row.returns >= returns or row.state == "failed"
        words = f"it was taken, and is not kept: {why.words}"
        if confirmations.take_back(session, row.id, uid, "failed" if failed else "pending", words, asked_at):
            again, given_up = again + (not failed), given_up + failed
    if not again + given_up:
        return 0
    row.returns += 1
    first = next(iter(lost.values())).words
    message = f"{row.destination} does not keep {again + given_up} instances that it took: {first}"
    row.confirmation = message
    if row.state in _UNCONFIRMED:
        now = database_now(session)
        row.confirm_at, row.confirm_attempts, row.attempts = None, 0, 0
        row.state, row.reason = ("pending", message) if again else ("failed", message)
        row.not_before, row.finished_at = now, None if again else now
    kind, outcome = ("delivery.returned", "warning") if again else ("delivery.failed", "failure")
    detail = {"sent_again": again, "given_up": given_up, "returns": row.returns}
    _record(session, row, kind, message, node, outcome=outcome, detail=detail)
    return again + given_up


def ask_later(session: Session, row: Delivery, seconds: float, reason: str) -> None:
    """The destination said nothing this time."""
    if row.state == "sent":
        row.confirm_attempts += 1
        row.confirm_at = database_now(session) + timedelta(seconds=seconds)
        row.confirmation = reason


def tell(session: Session, row: Delivery, reason: str, node: str, *, given_up: bool) -> None:
    """Nobody knows whether the destination keeps the delivery. With `given_up` it is not asked any more."""
    if row.state != "sent":
        return
    if given_up:
        row.confirm_at, row.confirmation = None, reason
    message = f"{row.destination} took it; whether it keeps it is not known: {reason}"
    _record(session, row, "delivery.unconfirmed", message, node, outcome="failure", detail={"given_up": given_up})


def _record(
    session: Session,
    row: Delivery,
    kind: str,
    message: str,
    node: str,
    *,
    outcome: str = "success",
    detail: Mapping[str, object],
) -> None:
    record(
        session,
        kind,
        message,
        node=node,
        outcome=outcome,
        series_uid=row.series_uid,
        subject=f"delivery:{row.id}",
        detail={"destination": row.destination, **detail},
    )
