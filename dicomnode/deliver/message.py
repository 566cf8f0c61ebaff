"""DIMSE messages of the peer, put together from presentation data values (PS3.8 9.3.5, Annex E)."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from dicomnode.domain import command_set as dimse

LONGEST_COMMAND_SET = 16_384
LONGEST_DATA_SET = 64 << 20
"""A report on 400,000 instances has as many bytes."""

_COMMAND, _LAST = 0x01, 0x02


@dataclass(frozen=True)
class Message:
    """A whole message: over which presentation context it came, its command set, its data set (empty without one)."""

    context_id: int
    command_set: bytes
    data_set: bytes


class Assembly:
    """Puts messages together. The peer sends one after the other: nobody negotiates an asynchronous window."""

    def __init__(self) -> None:
        self._whole: deque[Message] = deque()
        self._command_set, self._data_set = bytearray(), bytearray()
        self._awaits_data_set: bool | None = None

    def take(self, content: bytes) -> None:
        """The content of a P-DATA-TF PDU. Raises ValueError where the peer breaks the protocol."""
        for context_id, control, fragment in _values(content):
            if control & _COMMAND:
                self._take_command(control, fragment)
            else:
                self._data_set += fragment
            if len(self._command_set) > LONGEST_COMMAND_SET or len(self._data_set) > LONGEST_DATA_SET:
                raise ValueError("the response is too long to be one")
            if self._awaits_data_set is False or (self._awaits_data_set and control & 0x03 == _LAST):
                self._whole.append(Message(context_id, bytes(self._command_set), bytes(self._data_set)))
                self._command_set, self._data_set, self._awaits_data_set = bytearray(), bytearray(), None

    def next(self) -> Message | None:
        """The oldest message that is whole and was not given out yet."""
        return self._whole.popleft() if self._whole else None

    def _take_command(self, control: int, fragment: bytes) -> None:
        self._command_set += fragment
        if control & _LAST and len(self._command_set) <= LONGEST_COMMAND_SET:
            elements = dimse.decode(self._command_set)
            self._awaits_data_set = dimse.number(elements, dimse.COMMAND_DATA_SET_TYPE) != dimse.NO_DATA_SET


def _values(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The presentation data values of a P-DATA-TF: (context ID, message control header, fragment) (PS3.8 9.3.5)."""
    offset = 0
    while offset < len(content):
        length = int.from_bytes(content[offset : offset + 4], "big")
        if length < 2 or offset + 4 + length > len(content):
            raise ValueError("a P-DATA-TF PDU of the peer is malformed")
        yield content[offset + 4], content[offset + 5], content[offset + 6 : offset + 4 + length]
        offset += 4 + length
