"""Where operators sent what was left of cancelled deliveries.

The audit log says so: the event is written in the transaction that cancels one delivery and plans the other.
"""

from collections.abc import Collection

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicomnode.db.models import AuditEvent

_CHUNK = 500
_CANCELS = ("delivery.rerouted", "delivery.cancelled")


def targets(session: Session, delivery_ids: Collection[int]) -> dict[int, str]:
    """Destinations, by the numbers of these cancelled deliveries; what was cancelled and sent nowhere is left out."""
    subjects = {f"delivery:{id}": id for id in sorted(delivery_ids)}
    listed, found = list(subjects), {}
    for start in range(0, len(listed), _CHUNK):
        of_these = AuditEvent.subject.in_(listed[start : start + _CHUNK])
        newest = select(func.max(AuditEvent.id)).where(of_these, AuditEvent.kind.in_(_CANCELS))
        query = select(AuditEvent.subject, AuditEvent.detail).where(
            AuditEvent.id.in_(newest.group_by(AuditEvent.subject)), AuditEvent.kind == "delivery.rerouted"
        )
        found.update({subjects[subject or ""]: str(detail["to"]) for subject, detail in session.execute(query)})
    return found
