"""The receiver's meter as Prometheus sees it; also what tells the backlog that an instance was acknowledged."""

from collections.abc import Callable

from dicomnode.observe import ASSOCIATIONS, RECEIVED
from dicomnode.receive.statuses import Status


class ReceiverMetrics:
    """Counts associations and answers. `stored` is called for every instance that was acknowledged."""

    def __init__(self, stored: Callable[[], None]) -> None:
        self._stored = stored

    def association(self, outcome: str) -> None:
        if outcome == "opened":
            ASSOCIATIONS.inc()
        elif outcome != "rejected":
            ASSOCIATIONS.dec()

    def answered(self, status: Status, data_set_bytes: int, seconds: float) -> None:
        RECEIVED.labels(status.code).inc()
        if status is Status.SUCCESS:
            self._stored()
