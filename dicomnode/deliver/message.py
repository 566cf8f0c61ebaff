"""DIMSE messages of the peer, put together from presentation data values (PS3.8 9.3.5, Annex E)."""

from collections import deque
from collections.abc import Iterator, Mapping
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
    command: Mapping[int, bytes]
    data_set: bytes

    def number(self, element: int) -> int:
        """A number of the command set, such as (0000,0900) Status. Raises ValueError where it is not there."""
        return dimse.number(self.command, element)


class Assembly:
    """Puts messages together. The peer sends one after the other: nobody negotiates an asynchronous window."""

    def __init__(self) -> None:
        self._whole: deque[Message] = deque()
        self._fragments, self._data_set = bytearray(), bytearray()
        self._command: Mapping[int, bytes] | None = None

    def take(self, content: bytes) -> None:
        """The content of a P-DATA-TF PDU. Raises ValueError where the peer breaks the protocol."""
        for context_id, control, fragment in _values(content):
            is_last = control & _LAST
            if control & _COMMAND:
                self._fragments += fragment
            else:
                self._data_set += fragment
            if len(self._fragments) > LONGEST_COMMAND_SET or len(self._data_set) > LONGEST_DATA_SET:
                raise ValueError("the response is too long to be one")
            if control & _COMMAND and is_last:
                self._command = dimse.decode(self._fragments)
                is_last = dimse.number(self._command, dimse.COMMAND_DATA_SET_TYPE) == dimse.NO_DATA_SET
            if is_last and self._command is not None:
                self._whole.append(Message(context_id, self._command, bytes(self._data_set)))
                self._fragments, self._data_set, self._command = bytearray(), bytearray(), None

    def next(self) -> Message | None:
        """The oldest message that is whole and was not given out yet."""
        return self._whole.popleft() if self._whole else None


def _values(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The presentation data values of a P-DATA-TF: (context ID, message control header, fragment) (PS3.8 9.3.5)."""
    offset = 0
    while offset < len(content):
        length = int.from_bytes(content[offset : offset + 4], "big")
        if length < 2 or offset + 4 + length > len(content):
            raise ValueError("a P-DATA-TF PDU of the peer is malformed")
        yield content[offset + 4], content[offset + 5], content[offset + 6 : offset + 4 + length]
        offset += 4 + length
