"""Instances over several associations at once: each is taken by one of them, in order, and sent by it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, Outcome, Response
from dicomnode.deliver.outgoing import Outgoing, batches
from dicomnode.deliver.part10 import NotPart10
from dicomnode.deliver.scu import StoreSession, open_association
from dicomnode.deliver.transcode import Transcode


class Share:
    """Instances that fit into one association, between those that send them. For any number of threads."""

    def __init__(self, outgoings: Sequence[Outgoing]) -> None:
        self.outgoings = outgoings
        self._left = deque(outgoings)

    @property
    def left(self) -> int:
        """How many nobody has taken yet."""
        return len(self._left)

    def take(self) -> Outgoing | None:
        """The next instance; nobody else gets it. None when there are no more."""
        try:
            return self._left.popleft()
        except IndexError:
            return None


def send_one(session: StoreSession, outgoing: Outgoing) -> Response:
    """`session.send`, where bytes that cannot be read are a permanent failure of that instance."""
    try:
        return session.send(outgoing)
    except (OSError, EOFError, NotPart10) as error:
        return Response(Outcome.PERMANENT, None, f"the stored bytes cannot be read: {error}")


def store(
    destination: Destination,
    calling_aet: str,
    outgoings: Sequence[Outgoing],
    *,
    answered: Callable[[Outgoing, Response], None],
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
    transcode: Transcode | None = None,
) -> None:
    """Send these instances over up to `destination.associations` associations at a time.

    `answered` gets every response, one at a time but in the threads that send. An association that fails leaves its
    instances to the others. Raises the first AssociationFailed where instances are left that none of them sent; one
    whose response was lost counts as answered, with a transient response.
    """
    lock = threading.Lock()
    failures: list[BaseException] = []

    def associate(share: Share) -> None:
        try:
            with open_association(
                destination, calling_aet, share.outgoings, timeouts=timeouts, stop=stop, transcode=transcode
            ) as session:
                while session.is_open and (outgoing := share.take()) is not None:
                    response = send_one(session, outgoing)
                    with lock:
                        answered(outgoing, response)
                        if response.outcome is Outcome.TRANSIENT and response.status is None:
                            failures.append(AssociationFailed(FailureKind.ABORTED, response.detail, transient=True))
        except Exception as failure:
            failures.append(failure)

    for batch in batches(outgoings, transcoding=transcode is not None):
        share = Share(batch)
        count = min(destination.associations, len(batch))
        others = [threading.Thread(target=associate, args=(share,), daemon=True) for _ in range(count - 1)]
        for thread in others:
            thread.start()
        associate(share)
        for thread in others:
            thread.join()
        unexpected = [failure for failure in failures if not isinstance(failure, AssociationFailed)]
        if unexpected or share.left:
            raise (unexpected or failures)[0]
