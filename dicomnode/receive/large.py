"""A C-STORE request whose data set goes to disk as it comes, because memory is no place for two gigabytes."""

from collections.abc import Callable

from dicomnode.receive.identity import identify_by_pydicom
from dicomnode.receive.statuses import Status
from dicomnode.receive.store_request import Answer, Sender, StoreRequest, answered, attest, refusal_of
from dicomnode.store.streamed import StreamedInstance


class LargeInstance:
    """One request whose data set goes to disk as it comes. No method raises: what went wrong is in the answer.

    After a refusal the rest is read over: a sender hears of it when it has sent all, as the protocol wants it.
    """

    def __init__(self, request: StoreRequest, sender: Sender, begin: Callable[[], StreamedInstance]) -> None:
        self._request, self._sender = request, sender
        self._stream: StreamedInstance | None = None
        self._refusal = refusal_of(lambda: setattr(self, "_stream", begin()))

    def write(self, piece: memoryview) -> None:
        """The next bytes of the data set."""
        stream = self._stream
        if stream is not None:
            self._refusal = refusal_of(lambda: stream.write(piece))
            if self._refusal is not None:
                self.discard()

    def finish(self) -> Answer:
        """All has come."""
        stream = self._stream
        if stream is None:
            return self._refusal or Answer(Status.OUT_OF_RESOURCES, "an error of the node's own")
        answer = answered(lambda: self._finished(stream))
        self.discard()
        return answer

    def discard(self) -> None:
        """Remove what is not finished."""
        if self._stream is not None:
            self._stream.discard()
            self._stream = None

    def _finished(self, stream: StreamedInstance) -> Answer:
        with stream.header_stream() as written:
            study_uid, series_uid = identify_by_pydicom(self._request, written)
        location = stream.finish(
            lambda length, sha256: attest(self._request, self._sender, study_uid, series_uid, length, sha256)
        )
        return Answer(Status.SUCCESS, "", location, study_uid, series_uid)
