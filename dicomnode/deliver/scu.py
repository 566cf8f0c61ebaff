"""C-STORE and C-ECHO as SCU: stored bytes out, responses in (PS3.4 Annex A and B, PS3.7 9.1.1, 9.1.5)."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from dicomnode.deliver.association import MAX_CONTEXTS, Association, Syntax
from dicomnode.deliver.command import c_echo_rq, c_store_rq
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import (
    AssociationFailed,
    FailureKind,
    Response,
    from_status,
    no_response,
    refused_context,
)
from dicomnode.deliver.part10 import data_set_bytes

_VERIFICATION: Syntax = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")


@dataclass(frozen=True)
class Outgoing:
    """One instance to send. `read` returns the complete Part 10 file; it is called once, right before sending."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    read: Callable[[], bytes]

    @property
    def syntax(self) -> Syntax:
        return self.sop_class_uid, self.transfer_syntax_uid


class StoreSession:
    """An association for storing. One thread sends; `is_open` says whether it still can."""

    def __init__(self, association: Association, destination: Destination) -> None:
        self._association, self._destination = association, destination
        self._message_id = 0

    @property
    def is_open(self) -> bool:
        return self._association.is_open

    def send(self, outgoing: Outgoing) -> Response:
        """Send one instance and wait for its response.

        The data set goes out as it is stored, byte for byte. A response that does not come is a `Response` too
        (transient, status None); it ends the session. Raises NotPart10 and whatever `read` raises, before anything is
        sent, and RuntimeError on a session that is over.
        """
        if not self.is_open:
            raise RuntimeError("the association is over: open another one for the instances that are left")
        if outgoing.syntax not in self._association.contexts:
            result = self._association.refused.get(outgoing.syntax, 0)
            return refused_context(self._destination.ae_title, *outgoing.syntax, result)
        data_set = data_set_bytes(outgoing.read())
        self._message_id = self._message_id % 0xFFFF + 1
        request = c_store_rq(self._message_id, outgoing.sop_class_uid, outgoing.sop_instance_uid)
        try:
            return from_status(self._association.exchange(outgoing.syntax, self._message_id, request, data_set))
        except AssociationFailed as failure:
            return no_response(f"no response from {self._destination}: {failure.reason}")


@contextmanager
def open_association(
    destination: Destination,
    calling_aet: str,
    outgoings: Iterable[Outgoing],
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
) -> Iterator[StoreSession]:
    """An association with one presentation context per (SOP class, transfer syntax) of `outgoings`.

    Use `batches` first where there may be more than 128 of those. Setting `stop`, from any thread, aborts within a
    fraction of a second. Released in order at the end, aborted if the block raises. Raises AssociationFailed.
    """
    syntaxes = (outgoing.syntax for outgoing in outgoings)
    association = Association.request(destination, calling_aet, syntaxes, timeouts, stop or threading.Event())
    try:
        yield StoreSession(association, destination)
        association.release()
    finally:
        association.abort()


def batches(outgoings: Iterable[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Split into runs, in order, that each fit into the 128 presentation contexts of one association."""
    batch: list[Outgoing] = []
    syntaxes: set[Syntax] = set()
    for outgoing in outgoings:
        if outgoing.syntax not in syntaxes and len(syntaxes) == MAX_CONTEXTS:
            yield batch
            batch, syntaxes = [], set()
        batch.append(outgoing)
        syntaxes.add(outgoing.syntax)
    if batch:
        yield batch


def echo(destination: Destination, calling_aet: str, *, timeouts: Timeouts = Timeouts()) -> int:
    """C-ECHO: the status of the response, 0x0000 where all is well. Raises AssociationFailed."""
    association = Association.request(destination, calling_aet, [_VERIFICATION], timeouts, threading.Event())
    try:
        if _VERIFICATION not in association.contexts:
            reason = refused_context(destination.ae_title, *_VERIFICATION, association.refused[_VERIFICATION]).detail
            raise AssociationFailed(FailureKind.REJECTED, reason, transient=False)
        status = association.exchange(_VERIFICATION, 1, c_echo_rq(1), None)
        association.release()
        return status
    finally:
        association.abort()
