"""Storage commitment: what this node asked its destinations to keep for good, and what they said."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel

from dicomnode.desk import queue_stories
from dicomnode.desk.person import Person
from dicomnode.domain.roles import Permission
from dicomnode.web.access.gate import allow
from dicomnode.web.queue_fields import DeliveryId
from dicomnode.web.running import TheFlow

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])
Looks = Annotated[Person, allow(Permission.QUEUE)]


class CommitmentItem(BaseModel):
    """A transaction (PS3.4 Annex J). `due_at`: until when its report is waited for."""

    transaction_uid: str
    destination: str
    state: str
    instances: int
    reason: str
    asked_at: datetime
    due_at: datetime | None


@router.get("/{id}/commitments", summary="The storage commitments of a delivery")
def of_delivery(flow: TheFlow, person: Looks, id: DeliveryId) -> list[CommitmentItem]:
    """The oldest first."""
    return [
        CommitmentItem(
            transaction_uid=row.transaction_uid,
            destination=row.destination,
            state=row.state,
            instances=len(row.sop_uids),
            reason=row.reason,
            asked_at=row.asked_at,
            due_at=row.due_at,
        )
        for row in queue_stories.delivery(flow, id).commitments
    ]
