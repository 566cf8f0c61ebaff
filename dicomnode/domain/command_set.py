"""DIMSE command sets: implicit VR little endian, group 0000 (PS3.7 6.3.1, Annex E)."""

import struct
from collections.abc import Mapping

AFFECTED_SOP_CLASS_UID = 0x0002
REQUESTED_SOP_CLASS_UID = 0x0003
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
COMMAND_DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
AFFECTED_SOP_INSTANCE_UID = 0x1000
REQUESTED_SOP_INSTANCE_UID = 0x1001
EVENT_TYPE_ID = 0x1002
ACTION_TYPE_ID = 0x1008

C_STORE_RQ = 0x0001
C_FIND_RQ = 0x0020
C_ECHO_RQ = 0x0030
N_EVENT_REPORT_RQ = 0x0100
N_ACTION_RQ = 0x0130
N_CREATE_RQ = 0x0140
C_CANCEL_RQ = 0x0FFF
RESPONSE = 0x8000
"""The bit by which a response's Command Field differs from its request's."""

NO_DATA_SET = 0x0101
"""Command Data Set Type of a message without a data set; any other value announces one (PS3.7 E.1)."""

_ELEMENT = struct.Struct("<HHI")


def encode(elements: Mapping[int, bytes]) -> bytes:
    """A command set of these elements, which must be in order; the group length goes in front."""
    body = b"".join(_ELEMENT.pack(0, number, len(value)) + value for number, value in elements.items())
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def decode(command_set: bytes | bytearray) -> dict[int, bytes]:
    """Element number to value, as it came. Raises ValueError where the bytes are no command set."""
    elements: dict[int, bytes] = {}
    offset, end = 0, len(command_set)
    while offset < end:
        if offset + 8 > end:
            raise ValueError("the command set ends inside an element")
        group, number, length = _ELEMENT.unpack_from(command_set, offset)
        offset += 8
        if group != 0 or offset + length > end:
            raise ValueError("the bytes are no command set")
        elements[number] = bytes(command_set[offset : offset + length])
        offset += length
    return elements


def number(elements: Mapping[int, bytes], element: int) -> int:
    """The value of an element of VR US. Raises ValueError where it is not there or not one number."""
    value = elements.get(element, b"")
    if len(value) != 2:
        raise ValueError(f"the command set lacks (0000,{element:04X})")
    return int.from_bytes(value, "little")


def text(elements: Mapping[int, bytes], element: int) -> str:
    """The value of an element of VR UI; empty where it is not there."""
    return elements.get(element, b"").decode("latin-1").rstrip("\0 ")


def us(value: int) -> bytes:
    """A value of VR US."""
    return value.to_bytes(2, "little")


def uid(value: str) -> bytes:
    """A value of VR UI: padded with NUL to an even length (PS3.5 9.1)."""
    encoded = value.encode("ascii")
    return encoded + b"\0" * (len(encoded) % 2)
