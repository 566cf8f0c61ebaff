"""The receiving processes' figures as Prometheus sees them: read from the board when somebody asks."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from dicomnode.receive.board import OUTCOMES
from dicomnode.receive.statuses import Status
from dicomnode.receive.tally import NodeTally
from dicomnode.store.backlog import Backlog


class ReceiverMetrics(Collector):
    """Sums over all receiving processes since the node started; to be registered while they run."""

    def __init__(self, tally: NodeTally, backlog: Backlog) -> None:
        self._tally, self._backlog = tally, backlog

    def collect(self) -> Iterable[Metric]:
        tally = self._tally
        received = CounterMetricFamily("dicomnode_received", "C-STORE requests by response status", labels=["status"])
        for status in Status:
            received.add_metric([status.code], tally.answered(status))
        happened = CounterMetricFamily(
            "dicomnode_association_events", "Associations opened, rejected and ended, by outcome", labels=["outcome"]
        )
        for outcome in OUTCOMES:
            happened.add_metric([outcome], tally.associations(outcome))
        yield received
        yield happened
        yield CounterMetricFamily("dicomnode_received_bytes", "Bytes of data sets received", tally.received_bytes)
        yield GaugeMetricFamily("dicomnode_associations", "Associations open now", tally.open_associations)
        yield GaugeMetricFamily("dicomnode_receivers", "Receiving processes that take associations", tally.serving())
        yield GaugeMetricFamily(
            "dicomnode_index_backlog", "Stored instances that SQL does not know yet", self._backlog.size
        )
