"""Messages of a peer, however it cuts them into fragments and PDUs."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.deliver.message import LONGEST_COMMAND_SET, Assembly, Message
from dicomnode.domain import command_set as dimse


def command(data_set: bool) -> dict[int, bytes]:
    kind = dimse.us(1 if data_set else dimse.NO_DATA_SET)
    return dimse.decode(dimse.encode({dimse.COMMAND_FIELD: dimse.us(0x8020), dimse.COMMAND_DATA_SET_TYPE: kind}))


def values(message: Message, step: int) -> list[bytes]:
    """The message as presentation data values of at most `step` bytes of it."""
    made = []
    encoded = dimse.encode({element: value for element, value in message.command.items() if element})
    for whole, kind in ((encoded, 1), (message.data_set, 0)):
        pieces = [whole[start : start + step] for start in range(0, len(whole), step)]
        for number, piece in enumerate(pieces, start=1):
            control = kind | (2 if number == len(pieces) else 0)
            made.append(struct.pack(">IBB", len(piece) + 2, message.context_id, control) + piece)
    return made


messages = st.builds(
    lambda context_id, data: Message(context_id, command(bool(data)), data),
    st.sampled_from((1, 3, 255)),
    st.binary(max_size=60),
)


@given(sent=st.lists(messages, max_size=4), step=st.integers(1, 80), per_pdu=st.integers(1, 9))
def test_whatever_the_fragments_the_messages_are_whole(sent: list[Message], step: int, per_pdu: int) -> None:
    stream = [value for message in sent for value in values(message, step)]
    assembly, found = Assembly(), []
    for start in range(0, len(stream), per_pdu):
        assembly.take(b"".join(stream[start : start + per_pdu]))
        while (message := assembly.next()) is not None:
            found.append(message)
    assert found == sent


def test_a_message_is_not_given_out_before_its_data_set_has_come() -> None:
    *most, last = values(Message(1, command(True), b"12345678"), 4)
    assembly = Assembly()
    assembly.take(b"".join(most))
    assert assembly.next() is None
    assembly.take(last)
    assert assembly.next() == Message(1, command(True), b"12345678")
    assert assembly.next() is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\0\x09\x01\x03", "malformed"),
        (b"\0\0\0\x01\x01", "malformed"),
        (struct.pack(">IBB", 10, 1, 3) + b"garbage!", "no command set"),
        (struct.pack(">IBB", LONGEST_COMMAND_SET + 3, 1, 1) + bytes(LONGEST_COMMAND_SET + 1), "too long"),
        (struct.pack(">IBB", 2, 1, 3), "lacks"),
    ],
)
def test_what_is_no_message_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Assembly().take(content)
