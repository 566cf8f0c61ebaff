"""C-STORE and C-ECHO as SCU: stored bytes out, responses in (PS3.4 Annex A and B, PS3.7 9.1.1, 9.1.5).

To send a number of instances over several associations at once, see `parallel.store`; with the ledger, `sender`.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dicomnode.deliver.association import Association, Syntax
from dicomnode.deliver.command import c_store_rq
from dicomnode.deliver.content import BUFFER_BYTES, Content, DataSet, InMemory
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import (
    AssociationFailed,
    Outcome,
    Response,
    from_status,
    no_response,
    refused_context,
)
from dicomnode.deliver.outgoing import NATIVE_SYNTAXES, Outgoing, batches, proposals
from dicomnode.deliver.transcode import LONGEST, CannotTranscode, Transcode
from dicomnode.deliver.verification import verify

__all__ = ["Outgoing", "StoreSession", "batches", "echo", "open_association"]


class StoreSession:
    """An association for storing. One thread sends; `is_open` says whether it still can."""

    def __init__(self, association: Association, destination: Destination, transcode: Transcode | None) -> None:
        self._association, self._destination, self._transcode = association, destination, transcode
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._message_id = 0

    @property
    def is_open(self) -> bool:
        return self._association.is_open

    def send(self, outgoing: Outgoing) -> Response:
        """Send one instance and wait for its response.

        The data set goes out as it is stored, byte for byte; only where the peer refuses its transfer syntax, takes
        an uncompressed one and `transcode` was given, that is what goes out, and `Response.transcoded` says so.
        A response that does not come is a `Response` too (transient, status None); it ends the session. Raises
        NotPart10 and whatever `read` raises, before anything is sent; OSError and EOFError where the file cannot be
        read to its end, which ends the session; RuntimeError on a session that is over.
        """
        if not self.is_open:
            raise RuntimeError("the association is over: open another one for the instances that are left")
        if outgoing.syntax in self._association.contexts:
            with outgoing.content() as content:
                return self._store(outgoing, outgoing.syntax, DataSet(content, self._buffer))
        native = self._native(outgoing)
        if self._transcode is None or native is None:
            return self._refused(outgoing)
        try:
            with outgoing.content() as content:
                part10 = _whole(content)
            data_set = self._transcode(part10, native)
        except CannotTranscode as error:
            refused = self._refused(outgoing)
            return Response(Outcome.PERMANENT, None, f"{refused.detail}; and {error}")
        response = self._store(
            outgoing, (outgoing.sop_class_uid, native), DataSet(InMemory(data_set), self._buffer, begin=0)
        )
        return response.as_transcoded(self._destination.ae_title, outgoing.transfer_syntax_uid, native)

    def _store(self, outgoing: Outgoing, syntax: Syntax, data_set: DataSet) -> Response:
        self._message_id = self._message_id % 0xFFFF + 1
        request = c_store_rq(self._message_id, outgoing.sop_class_uid, outgoing.sop_instance_uid)
        try:
            return from_status(self._association.exchange(syntax, self._message_id, request, data_set))
        except AssociationFailed as failure:
            return no_response(f"no response from {self._destination}: {failure.reason}")

    def _native(self, outgoing: Outgoing) -> str | None:
        """The uncompressed transfer syntax that the peer takes for this SOP class, the better one first."""
        accepted = self._association.contexts
        return next((each for each in NATIVE_SYNTAXES if (outgoing.sop_class_uid, each) in accepted), None)

    def _refused(self, outgoing: Outgoing) -> Response:
        result = self._association.refused.get(outgoing.syntax, 0)
        return refused_context(self._destination.ae_title, *outgoing.syntax, result)


def _whole(content: Content) -> bytes:
    if content.length > LONGEST:
        raise CannotTranscode(f"it is too long to be transcoded ({content.length >> 20} MiB)")
    return bytes(content.window(0, memoryview(bytearray(content.length)))[: content.length])


@contextmanager
def open_association(
    destination: Destination,
    calling_aet: str,
    outgoings: Iterable[Outgoing],
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
    transcode: Transcode | None = None,
) -> Iterator[StoreSession]:
    """An association with one presentation context per (SOP class, transfer syntax) of `outgoings`.

    With `transcode` the uncompressed transfer syntaxes are proposed as well, each in a context of its own. Use
    `batches` first where there may be more than 128 contexts. Setting `stop`, from any thread, aborts within a
    fraction of a second. Released in order at the end, aborted if the block raises. Raises AssociationFailed.
    """
    syntaxes = proposals(outgoings, transcoding=transcode is not None)
    association = Association.request(destination, calling_aet, syntaxes, timeouts, stop or threading.Event())
    try:
        yield StoreSession(association, destination, transcode)
        association.release()
    finally:
        association.abort()


def echo(destination: Destination, calling_aet: str, *, timeouts: Timeouts = Timeouts()) -> int:
    """C-ECHO: the status of the response, 0x0000 where all is well. Raises AssociationFailed."""
    return verify(destination, calling_aet, timeouts=timeouts).status
