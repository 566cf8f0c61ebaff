"""Command sets, against pynetdicom's own encoder and decoder."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage
from pynetdicom.dimse_messages import C_ECHO_RSP, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode, encode

from dicomnode.deliver.command import CommandResponse, c_echo_rq, c_store_rq

message_ids = st.integers(0, 0xFFFF)
uids = st.lists(st.integers(0, 10**9), min_size=1, max_size=5).map(lambda parts: "1.2." + ".".join(map(str, parts)))


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
        response = CommandResponse.decode(encode(message.command_set, True, True))
        assert response == CommandResponse(field, message_id, status, has_data_set=False)


@given(st.binary(max_size=200))
def test_garbage_is_a_value_error(garbage: bytes) -> None:
    with pytest.raises(ValueError, match=r"command set|response lacks"):
        CommandResponse.decode(garbage)
