"""C-ECHO as SCU: whether a peer answers, and what it says of itself (PS3.4 Annex A, PS3.7 9.1.5)."""

import threading
import time
from dataclasses import dataclass

from dicomnode.deliver.association import Answered, Association, Syntax
from dicomnode.deliver.command import c_echo_rq
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, refused_context

_VERIFICATION: Syntax = ("1.2.840.10008.1.1", "1.2.840.10008.1.2")


@dataclass(frozen=True)
class Verified:
    """What came of a C-ECHO.

    status      of the response, 0x0000 where all is well
    answered    what the peer said of itself when the association was negotiated
    associated  seconds until the association stood
    echoed      seconds from the request to its response
    """

    status: int
    answered: Answered
    associated: float
    echoed: float


def verify(
    destination: Destination,
    calling_aet: str,
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
) -> Verified:
    """Negotiate, ask, release. Setting `stop` ends it within a fraction of a second. Raises AssociationFailed."""
    began = time.monotonic()
    association = Association.request(destination, calling_aet, [_VERIFICATION], timeouts, stop or threading.Event())
    try:
        associated = time.monotonic()
        if _VERIFICATION not in association.contexts:
            reason = refused_context(destination.ae_title, *_VERIFICATION, association.refused[_VERIFICATION]).detail
            raise AssociationFailed(FailureKind.REJECTED, reason, transient=False)
        status = association.exchange(_VERIFICATION, 1, c_echo_rq(1), None)
        echoed = time.monotonic()
        association.release()
        return Verified(status, association.answered, associated - began, echoed - associated)
    finally:
        association.abort()
