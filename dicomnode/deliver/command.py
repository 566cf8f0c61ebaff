"""DIMSE command sets for C-STORE and C-ECHO: implicit VR little endian, group 0000 (PS3.7 6.3.1, 9.3, Annex E)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_AFFECTED_SOP_CLASS_UID = 0x0002
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
_PRIORITY = 0x0700
_COMMAND_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_AFFECTED_SOP_INSTANCE_UID = 0x1000

_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_MEDIUM = 0x0000
_VERIFICATION = "1.2.840.10008.1.1"


def c_store_rq(message_id: int, sop_class_uid: str, sop_instance_uid: str) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 9.3.1.1)."""
    return _encode(
        {
            _AFFECTED_SOP_CLASS_UID: _uid(sop_class_uid),
            _COMMAND_FIELD: _us(0x0001),
            _MESSAGE_ID: _us(message_id),
            _PRIORITY: _us(_MEDIUM),
            _COMMAND_DATA_SET_TYPE: _us(_DATA_SET),
            _AFFECTED_SOP_INSTANCE_UID: _uid(sop_instance_uid),
        }
    )


def c_echo_rq(message_id: int) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 9.3.5.1)."""
    return _encode(
        {
            _AFFECTED_SOP_CLASS_UID: _uid(_VERIFICATION),
            _COMMAND_FIELD: _us(0x0030),
            _MESSAGE_ID: _us(message_id),
            _COMMAND_DATA_SET_TYPE: _us(_NO_DATA_SET),
        }
    )


@dataclass(frozen=True)
class CommandResponse:
    """What a response says: which message of ours it answers, and with which status."""

    command_field: int
    message_id: int
    status: int
    has_data_set: bool

    @classmethod
    def decode(cls, command_set: bytes) -> "CommandResponse":
        """Raises ValueError if the bytes are no command set, or not that of a response."""
        elements = _decode(command_set)
        return cls(
            command_field=_number(elements, _COMMAND_FIELD),
            message_id=_number(elements, _MESSAGE_ID_BEING_RESPONDED_TO),
            status=_number(elements, _STATUS),
            has_data_set=_number(elements, _COMMAND_DATA_SET_TYPE) != _NO_DATA_SET,
        )


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _uid(value: str) -> bytes:
    encoded = value.encode("ascii")
    return encoded + b"\0" * (len(encoded) % 2)  # PS3.5 9.1: padded with NUL to even length


def _encode(elements: Mapping[int, bytes]) -> bytes:
    body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in elements.items())
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def _decode(command_set: bytes) -> dict[int, bytes]:
    elements: dict[int, bytes] = {}
    offset = 0
    while offset < len(command_set):
        try:
            group, element, length = struct.unpack_from("<HHI", command_set, offset)
        except struct.error as error:
            raise ValueError("the command set ends inside an element") from error
        value = command_set[offset + 8 : offset + 8 + length]
        if group != 0 or len(value) != length:
            raise ValueError("the bytes are no command set")
        elements[element] = value
        offset += 8 + length
    return elements


def _number(elements: Mapping[int, bytes], element: int) -> int:
    value = elements.get(element, b"")
    if len(value) != 2:
        raise ValueError(f"the response lacks (0000,{element:04X})")
    return int.from_bytes(value, "little")
