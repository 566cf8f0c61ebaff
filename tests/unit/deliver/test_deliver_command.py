"""Command sets, against pynetdicom's own encoder and decoder."""

import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import C_ECHO_RSP, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode, encode

from dicomnode.deliver.command import c_echo_rq, c_store_rq
from dicomnode.deliver.message import Assembly, Message
from dicomnode.domain import command_set as dimse

message_ids = st.integers(0, 0xFFFF)
uids = st.lists(st.integers(0, 10**9), min_size=1, max_size=5).map(lambda parts: "1.2." + ".".join(map(str, parts)))


def taken(command_set: bytes) -> Message | None:
    """A command set as the one value of a PDU, put together."""
    assembly = Assembly()
    assembly.take(struct.pack(">IBB", len(command_set) + 2, 1, 3) + command_set)
    return assembly.next()


@given(message_ids, uids)
def test_pynetdicom_reads_our_c_store_rq(message_id: int, sop_instance_uid: str) -> None:
    encoded = c_store_rq(message_id, CTImageStorage, sop_instance_uid)
    command = decode(BytesIO(encoded), True, True)
    assert command.CommandGroupLength == len(encoded) - 12
    assert command.AffectedSOPClassUID == CTImageStorage
    assert command.AffectedSOPInstanceUID == sop_instance_uid
    assert (command.CommandField, command.MessageID) == (0x0001, message_id)
    assert command.CommandDataSetType != 0x0101
    assert len(encoded) % 2 == 0


def test_pynetdicom_reads_our_c_echo_rq() -> None:
    command = decode(BytesIO(c_echo_rq(7)), True, True)
    assert (command.CommandField, command.MessageID, command.CommandDataSetType) == (0x0030, 7, 0x0101)


@given(message_ids, st.sampled_from([0x0000, 0xA700, 0xB000, 0xC000, 0x0122]))
def test_we_read_pynetdicoms_responses(message_id: int, status: int) -> None:
    for primitive, message, field in ((C_STORE(), C_STORE_RSP(), 0x8001), (C_ECHO(), C_ECHO_RSP(), 0x8030)):
        primitive.MessageIDBeingRespondedTo, primitive.Status = message_id, status
        message.primitive_to_message(primitive)
        response = taken(encode(message.command_set, True, True) or b"")
        assert response is not None
        assert response.number(dimse.COMMAND_FIELD) == field
        assert response.number(dimse.MESSAGE_ID_BEING_RESPONDED_TO) == message_id
        assert response.number(dimse.STATUS) == status
        assert response.data_set == b""


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error(garbage: bytes) -> None:
    with pytest.raises(ValueError, match="command set"):
        taken(garbage)
