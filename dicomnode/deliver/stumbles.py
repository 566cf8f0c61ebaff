"""Instances at which this node itself fails, by an error that nobody foresaw: tried again, then set aside."""

import threading
from collections import Counter

from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.outcome import Outcome, Response
from dicomnode.observe import log, wordless

MOST = 5
"""Failures of this kind after which an instance is a dead letter: by then it is not a matter of the moment."""


class Stumbles:
    """Of one sender; its lanes share it. A restart counts anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: Counter[int] = Counter()

    def answer(self, item: OpenItem, error: Exception) -> Response:
        """What is to be noted of the instance. Never the error's words, which may quote a patient."""
        kind = type(error).__name__
        log.error("an instance could not be sent", delivery_item=item.id, error=wordless(error))
        with self._lock:
            self._times[item.id] += 1
            if is_over := self._times[item.id] >= MOST:
                del self._times[item.id]  # somebody may have it tried again
        outcome, times = (Outcome.PERMANENT, f" {MOST} times") if is_over else (Outcome.TRANSIENT, "")
        return Response(outcome, None, f"this node failed to send it{times}: {kind}")
