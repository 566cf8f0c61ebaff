"""What a received command set asks for, and the command sets of our answers (PS3.7 9.3.1, 9.3.5)."""

from dataclasses import dataclass
from typing import NamedTuple

from dicomnode.domain import command_set as dimse

_ERROR_COMMENT_LENGTH = 64

_AFFECTED = dimse.AFFECTED_SOP_CLASS_UID, dimse.AFFECTED_SOP_INSTANCE_UID
_NAMED_BY = {dimse.N_ACTION_RQ: (dimse.REQUESTED_SOP_CLASS_UID, dimse.REQUESTED_SOP_INSTANCE_UID)}
"""Where a request names its SOP class and instance, if not as affected ones; every response names them so."""
_TYPED_BY = {dimse.N_EVENT_REPORT_RQ: dimse.EVENT_TYPE_ID, dimse.N_ACTION_RQ: dimse.ACTION_TYPE_ID}


@dataclass(frozen=True)
class Command:
    """A received command set. UIDs are as they came, padding and all: an answer repeats them."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: bytes
    sop_instance_uid: bytes
    type_id: int | None = None
    """Event Type ID or Action Type ID (PS3.7 10.3.1, 10.3.4)."""

    @property
    def sop_class(self) -> str:
        """The SOP class's UID without its padding."""
        return _plain(self.sop_class_uid)

    @property
    def sop_instance(self) -> str:
        """The SOP instance's UID without its padding."""
        return _plain(self.sop_instance_uid)

    @classmethod
    def decode(cls, encoded: bytes | bytearray) -> "Command":
        """Raises ValueError where the bytes are no command set, or one that nobody can answer."""
        elements = dimse.decode(encoded)
        field = dimse.number(elements, dimse.COMMAND_FIELD)
        nameless = field & dimse.RESPONSE or field == dimse.C_CANCEL_RQ
        sop_class, sop_instance = _NAMED_BY.get(field, _AFFECTED)
        type_id = _TYPED_BY.get(field)
        return cls(
            field=field,
            message_id=0 if nameless else dimse.number(elements, dimse.MESSAGE_ID),
            has_data_set=dimse.number(elements, dimse.COMMAND_DATA_SET_TYPE) != dimse.NO_DATA_SET,
            sop_class_uid=elements.get(sop_class, b""),
            sop_instance_uid=elements.get(sop_instance, b""),
            type_id=dimse.number(elements, type_id) if type_id and type_id in elements else None,
        )


class Reply(NamedTuple):
    """What a message is answered. `sop_instance_uid`: of an instance that the message left to us to name."""

    status: int
    comment: str = ""
    sop_instance_uid: bytes = b""


def response(command: Command, reply: Reply) -> bytes:
    """The command set that answers `command`; UIDs that nobody named are left out."""
    elements = {
        dimse.AFFECTED_SOP_CLASS_UID: command.sop_class_uid,
        dimse.COMMAND_FIELD: dimse.us(command.field | dimse.RESPONSE),
        dimse.MESSAGE_ID_BEING_RESPONDED_TO: dimse.us(command.message_id),
        dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET),
        dimse.STATUS: dimse.us(reply.status),
        dimse.ERROR_COMMENT: _lo(reply.comment),
        dimse.AFFECTED_SOP_INSTANCE_UID: command.sop_instance_uid or reply.sop_instance_uid,
    }
    if command.type_id is not None:
        elements[_TYPED_BY[command.field]] = dimse.us(command.type_id)
    return dimse.encode({number: value for number, value in elements.items() if value})


def _plain(uid: bytes) -> str:
    return uid.decode("latin-1").rstrip("\0 ")


def _lo(text: str) -> bytes:
    encoded = text.encode("ascii", "replace")[:_ERROR_COMMENT_LENGTH]
    return encoded + b" " * (len(encoded) % 2)
