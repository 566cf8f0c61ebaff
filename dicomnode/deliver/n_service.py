"""Command sets of the normalized services that storage commitment is made of (PS3.7 10.3.1, 10.3.5; PS3.4 Annex J)."""

from dicomnode.domain import command_set as dimse
from dicomnode.domain.commitment import REQUEST_COMMITMENT, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE

_DATA_SET = 0x0001


def n_action_rq(message_id: int) -> bytes:
    """Request Storage Commitment (PS3.4 J.3.2)."""
    return dimse.encode(
        {
            dimse.REQUESTED_SOP_CLASS_UID: dimse.uid(STORAGE_COMMITMENT),
            dimse.COMMAND_FIELD: dimse.us(dimse.N_ACTION_RQ),
            dimse.MESSAGE_ID: dimse.us(message_id),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(_DATA_SET),
            dimse.REQUESTED_SOP_INSTANCE_UID: dimse.uid(WELL_KNOWN_INSTANCE),
            dimse.ACTION_TYPE_ID: dimse.us(REQUEST_COMMITMENT),
        }
    )


def n_event_report_rq(message_id: int, event_type: int) -> bytes:
    """The result of a request (PS3.4 J.3.3)."""
    return dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(STORAGE_COMMITMENT),
            dimse.COMMAND_FIELD: dimse.us(dimse.N_EVENT_REPORT_RQ),
            dimse.MESSAGE_ID: dimse.us(message_id),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(_DATA_SET),
            dimse.AFFECTED_SOP_INSTANCE_UID: dimse.uid(WELL_KNOWN_INSTANCE),
            dimse.EVENT_TYPE_ID: dimse.us(event_type),
        }
    )


def n_event_report_rsp(message_id: int, status: int, event_type: int) -> bytes:
    """Our answer to a report."""
    return dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(STORAGE_COMMITMENT),
            dimse.COMMAND_FIELD: dimse.us(dimse.N_EVENT_REPORT_RQ | dimse.RESPONSE),
            dimse.MESSAGE_ID_BEING_RESPONDED_TO: dimse.us(message_id),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET),
            dimse.STATUS: dimse.us(status),
            dimse.AFFECTED_SOP_INSTANCE_UID: dimse.uid(WELL_KNOWN_INSTANCE),
            dimse.EVENT_TYPE_ID: dimse.us(event_type),
        }
    )
