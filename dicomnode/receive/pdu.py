"""Protocol data units of the upper layer, as an acceptor reads and writes them (PS3.8 9.3)."""

import struct
from collections.abc import Iterator
from enum import IntEnum

PDU_HEADER = struct.Struct(">BxI")
PDV_HEADER = struct.Struct(">IBB")
"""Item length (with the two bytes behind it), presentation context ID, message control header (PS3.8 9.3.5.1, E.2)."""

IS_COMMAND = 0x01
IS_LAST = 0x02


class PduType(IntEnum):
    """PS3.8 9.3.1."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Reasons of an abort by the service provider (PS3.8 Table 9-26); the user gives none."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class MalformedPdu(ValueError):
    """The bytes are not the PDU that they claim to be; the message says where, and never quotes them."""


RELEASE_RP = bytes((PduType.RELEASE_RP, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT_BY_USER = bytes((PduType.ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0))


def abort_by_provider(reason: AbortReason) -> bytes:
    """A-ABORT of the service provider (PS3.8 9.3.8)."""
    return bytes((PduType.ABORT, 0, 0, 0, 0, 4, 0, 0, 2, reason))


def associate_rj(result: int, source: int, diagnostic: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return bytes((PduType.ASSOCIATE_RJ, 0, 0, 0, 0, 4, 0, result, source, diagnostic))


def p_data(context_id: int, command_set: bytes, peer_limit: int) -> Iterator[bytes]:
    """A command set as P-DATA-TF PDUs of at most `peer_limit` bytes each; 0 is no limit (PS3.8 9.3.5, D.1)."""
    step = max(peer_limit - PDV_HEADER.size, 2) if peer_limit else len(command_set)
    for begin in range(0, len(command_set), step):
        piece = command_set[begin : begin + step]
        control = IS_COMMAND | (IS_LAST if begin + step >= len(command_set) else 0)
        header = PDU_HEADER.pack(PduType.P_DATA_TF, len(piece) + PDV_HEADER.size)
        yield header + PDV_HEADER.pack(len(piece) + 2, context_id, control) + piece
