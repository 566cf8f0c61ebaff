"""DIMSE messages, put together from presentation data values and answered one by one (PS3.7 8.1, PS3.8 Annex E)."""

import time
from collections.abc import Mapping
from typing import Protocol

from dicomnode.receive.command import Command, Reply, response
from dicomnode.receive.intake import Intake, Overflow
from dicomnode.receive.limits import Limits
from dicomnode.receive.negotiation import AcceptedContext
from dicomnode.receive.pdu import IS_COMMAND, IS_LAST, PDV_HEADER, MalformedPdu, p_data
from dicomnode.receive.states import Event
from dicomnode.receive.wire import Interrupted, Wire


class Service(Protocol):
    """What answers messages. Never raises."""

    def open_large(self, context: AcceptedContext, command: Command) -> Overflow:
        """Where the data set of this message goes, which is too large for memory."""

    def answer(self, context: AcceptedContext, command: Command, intake: Intake) -> Reply | None:
        """The response; None where none is due."""


class Exchange:
    """The messages of one association, strictly one after another: nobody negotiates an asynchronous window."""

    def __init__(
        self, wire: Wire, contexts: Mapping[int, AcceptedContext], peer_limit: int, limits: Limits, service: Service
    ) -> None:
        self._wire, self._contexts, self._peer_limit = wire, contexts, peer_limit
        self._limits, self._service = limits, service
        self._intake = Intake(limits)
        self._begin()

    @property
    def under_way(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._context is not None

    def take(self, length: int) -> None:
        """One P-DATA-TF of `length` bytes behind its header. Raises MalformedPdu and Interrupted."""
        if length < PDV_HEADER.size:
            raise MalformedPdu("a P-DATA-TF without presentation data values")
        while length:
            if length < PDV_HEADER.size:
                raise MalformedPdu("a P-DATA-TF ends inside a presentation data value")
            item_length, context_id, control = PDV_HEADER.unpack(self._wire.take(PDV_HEADER.size))
            size, length = item_length - 2, length - 4 - item_length
            if size < 0 or length < 0:
                raise MalformedPdu("a presentation data value is longer than its P-DATA-TF")
            self._fragment(context_id, control, size)

    def discard(self) -> None:
        """The association ends, wherever it stands."""
        self._intake.discard()

    def _begin(self) -> None:
        self._context: AcceptedContext | None = None
        self._command: Command | None = None
        self._encoded = bytearray()
        self._fragments = self._bytes = 0
        self._began = 0.0

    def _fragment(self, context_id: int, control: int, size: int) -> None:
        if self._context is None:
            self._context = self._contexts.get(context_id)
            self._began = time.monotonic()
            if self._context is None:
                raise MalformedPdu("a presentation context that was not accepted")
        elif self._context.context_id != context_id:
            raise MalformedPdu("the presentation context changes inside a message")
        self._demand_progress(size)
        if control & IS_COMMAND:
            self._command_fragment(size, bool(control & IS_LAST))
        else:
            self._data_fragment(size, bool(control & IS_LAST))

    def _demand_progress(self, size: int) -> None:
        """Cut who sends crumbs, or drips: such a message would hold its place for hours."""
        limits = self._limits
        self._fragments += 1
        self._bytes += size
        if self._fragments > limits.crumbs and self._bytes < self._fragments * limits.crumb_bytes:
            raise Interrupted(Event.INVALID_PDU, f"a message in more than {limits.crumbs} tiny fragments")
        if time.monotonic() - self._began > limits.slow_seconds + self._bytes / limits.slow_bytes:
            raise Interrupted(Event.TIME_IS_UP, f"a message came slower than {limits.slow_bytes} bytes a second")

    def _command_fragment(self, size: int, last: bool) -> None:
        if self._command is not None:
            raise MalformedPdu("a command where a data set was due")
        if len(self._encoded) + size > self._limits.command_bytes:
            raise MalformedPdu("a command set without end")
        begin = len(self._encoded)
        self._encoded += bytes(size)
        with memoryview(self._encoded) as view:
            self._wire.into(view[begin:])
        if not last:
            return
        try:
            self._command = Command.decode(self._encoded)
        except ValueError as error:
            raise MalformedPdu(str(error)) from error
        self._intake.begin()
        if not self._command.has_data_set:
            self._answer()

    def _data_fragment(self, size: int, last: bool) -> None:
        assert self._context is not None
        if self._command is None:
            raise MalformedPdu("a data set without a command")
        if self._intake.must_spill(size):
            self._intake.spill(self._service.open_large(self._context, self._command))
        self._intake.take(self._wire, size)
        if last:
            self._answer()

    def _answer(self) -> None:
        assert self._context is not None
        assert self._command is not None
        answer = self._service.answer(self._context, self._command, self._intake)
        if answer is not None:
            for pdu in p_data(self._context.context_id, response(self._command, answer), self._peer_limit):
                self._wire.write(pdu)
        self._intake.begin()
        self._begin()
