"""Requests and their responses over an association on which the peer may speak up as well (PS3.7 8.2, 9.3, 10.3).

A storage commitment SCP may report before it has answered the N-ACTION that asked for it, or at any time until the
association ends. So whatever comes is looked at: a response goes to who waits for it, a request is answered.
"""

from collections.abc import Callable, Iterator

from dicomnode.deliver.association import Association, Syntax
from dicomnode.deliver.content import DataSet, InMemory
from dicomnode.deliver.message import Message
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.domain import command_set as dimse

IMPLICIT = "1.2.840.10008.1.2"
"""Implicit VR little endian: every peer takes it (PS3.5 10.1), and data sets without pixels gain nothing by others."""

_SMALLEST_BUFFER = 1 << 17

MOST_REQUESTS = 1000
"""So many of the peer are answered while one of ours waits; the reports of a day are fewer."""

Answer = Callable[[Message], bytes]
"""What answers a request of the peer: the command set of the response."""


def _unexpected(message: Message) -> bytes:
    raise ValueError("the peer sent a request that nobody asked it for")


class Conversation:
    """An association, its message IDs, and who answers the peer. For one thread.

    Every method raises AssociationFailed, and ValueError where a message makes no sense; the association is of no use
    after either.
    """

    def __init__(self, association: Association, timeout: float, answer: Answer = _unexpected) -> None:
        """`timeout`: seconds that the peer may be silent when it should answer."""
        self.association = association
        self._timeout, self._answer = timeout, answer
        self._message_id = 0

    def request(self, syntax: Syntax, command_set: Callable[[int], bytes], data_set: bytes) -> Iterator[Message]:
        """Send `command_set(message ID)` with a data set; the responses as they come, until who iterates has enough.

        Read them to the final one before the next request.
        """
        self._message_id = self._message_id % 0xFFFF + 1
        context_id = self.association.contexts[syntax]
        self.association.write(context_id, command_set(self._message_id), _in_pieces(data_set))
        while True:
            message = self._response()
            answered = message.number(dimse.MESSAGE_ID_BEING_RESPONDED_TO)
            if answered != self._message_id:
                raise ValueError(f"a response to message {answered} came, not to {self._message_id}")
            yield message

    def hear(self, seconds: float) -> bool:
        """Wait for one request of the peer, and answer it. False: none came in time."""
        try:
            if self._next(seconds) is not None:
                raise ValueError("a response came that nobody waits for")
        except AssociationFailed as failure:
            if failure.kind is FailureKind.TIMEOUT:
                return False
            raise
        return True

    def _response(self) -> Message:
        """The next response. The requests that come before it are answered."""
        for _ in range(MOST_REQUESTS):
            if (message := self._next(self._timeout)) is not None:
                return message
        words = f"the peer made {MOST_REQUESTS} requests, and answered none"
        raise AssociationFailed(FailureKind.PROTOCOL, words, transient=True)

    def _next(self, timeout: float) -> Message | None:
        """The next message; None if it was a request, which is answered then."""
        message = self.association.receive(timeout)
        if message.number(dimse.COMMAND_FIELD) & dimse.RESPONSE:
            return message
        self.association.write(message.context_id, self._answer(message), None)
        return None


def _in_pieces(data_set: bytes) -> DataSet:
    return DataSet(InMemory(data_set), memoryview(bytearray(_SMALLEST_BUFFER)), begin=0)
