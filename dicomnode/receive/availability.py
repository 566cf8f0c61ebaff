"""Instance Availability Notification as it comes: what can be had of a study, and what no longer (PS3.4 Annex R)."""

from typing import Any
from uuid import uuid4

from dicomnode.domain.availability import AVAILABILITY_NOTIFICATION, read_notification
from dicomnode.domain.command_set import N_CREATE_RQ
from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.command import Command
from dicomnode.receive.intake import Intake
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.noted import demand_class, demand_uids, whole
from dicomnode.receive.service_statuses import Declined, ServiceStatus


def take(context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
    """The note of an N-CREATE request. Raises Declined and UnreadableDataSet.

    Who names no SOP instance is given one (PS3.7 10.1.5.1.4).
    """
    if command.field != N_CREATE_RQ:
        raise Declined(ServiceStatus.UNRECOGNIZED_OPERATION, "instance availability has no such operation")
    demand_class(command, AVAILABILITY_NOTIFICATION)
    sop_instance_uid = command.sop_instance or f"2.25.{uuid4().int}"
    if not is_usable_uid(sop_instance_uid):
        raise Declined(ServiceStatus.INVALID_SOP_INSTANCE, "the SOP Instance UID is not a UID")
    notification = read_notification(whole(intake), context.transfer_syntax)
    demand_uids(notification.uids, bool(notification.available or notification.unavailable))
    return {"event": "availability", "sop_instance_uid": sop_instance_uid} | notification.to_json()
