"""DIMSE command sets for C-STORE and C-ECHO (PS3.7 9.3, Annex E)."""

from dicomnode.domain import command_set as dimse

_DATA_SET = 0x0001
_MEDIUM = 0x0000
_VERIFICATION = "1.2.840.10008.1.1"


def c_store_rq(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    return dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(sop_class_uid),
            dimse.COMMAND_FIELD: dimse.us(dimse.C_STORE_RQ),
            dimse.MESSAGE_ID: dimse.us(message_id),
            dimse.PRIORITY: dimse.us(_MEDIUM),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(_DATA_SET),
            dimse.AFFECTED_SOP_INSTANCE_UID: dimse.uid(sop_instance_uid),
        }
    )


def c_echo_rq(message_id: int) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(_VERIFICATION),
            dimse.COMMAND_FIELD: dimse.us(dimse.C_ECHO_RQ),
            dimse.MESSAGE_ID: dimse.us(message_id),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET),
        }
    )
