"""Storage Commitment Push Model as it comes: requests to this node, and reports to it (PS3.4 Annex J).

Both are only taken down here. What is promised is for the flow to judge and to say, over an association of its own;
what was reported is applied by whoever asked, on whatever node.
"""

from typing import Any

from dicomnode.domain import commitment
from dicomnode.domain.command_set import N_ACTION_RQ, N_EVENT_REPORT_RQ
from dicomnode.receive.command import Command
from dicomnode.receive.intake import Intake
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.noted import demand_class, demand_uids, whole
from dicomnode.receive.service_statuses import Declined, ServiceStatus


def take(context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
    """The note of an N-ACTION or N-EVENT-REPORT request. Raises Declined and UnreadableDataSet."""
    _demand_role(context, command)
    demand_class(command, commitment.STORAGE_COMMITMENT)
    if command.sop_instance != commitment.WELL_KNOWN_INSTANCE:
        raise Declined(ServiceStatus.NO_SUCH_SOP_INSTANCE, "another SOP instance than the well-known one")
    return (_request if command.field == N_ACTION_RQ else _report)(context, command, intake)


def _demand_role(context: AcceptedContext, command: Command) -> None:
    """Who asks is SCU, who reports is SCP: nobody may do what was not negotiated."""
    having = {N_ACTION_RQ: context.roles.scu, N_EVENT_REPORT_RQ: context.roles.scp}
    if command.field not in having:
        raise Declined(ServiceStatus.UNRECOGNIZED_OPERATION, "storage commitment has no such operation")
    if not having[command.field]:
        raise Declined(ServiceStatus.UNRECOGNIZED_OPERATION, "the role that this takes was not negotiated")


def _request(context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
    if command.type_id != commitment.REQUEST_COMMITMENT:
        raise Declined(ServiceStatus.NO_SUCH_ACTION, f"action type {command.type_id}")
    request = commitment.read_request(whole(intake), context.transfer_syntax)
    demand_uids(request.uids, bool(request.instances))
    return {"event": "commitment-request"} | request.to_json()


def _report(context: AcceptedContext, command: Command, intake: Intake) -> dict[str, Any]:
    if command.type_id not in (commitment.ALL_COMMITTED, commitment.FAILURES_EXIST):
        raise Declined(ServiceStatus.NO_SUCH_EVENT_TYPE, f"event type {command.type_id}")
    report = commitment.read_report(whole(intake), context.transfer_syntax)
    demand_uids(report.uids, bool(report.committed or report.failed))
    return {"event": "commitment-report", "event_type": command.type_id} | report.to_json()
