"""Gauges that are read from SQL and from the file system when somebody asks for metrics."""

import shutil

from dicomnode.db.repositories import deliveries, enhancements, head_starts, holds, outages
from dicomnode.flow.context import Flow
from dicomnode.observe import DELIVERIES, DOWN, ENHANCEMENTS, HEAD_START_SECONDS, HEAD_START_SLICES, HELD, STORE_FREE


def refresh_gauges(flow: Flow) -> None:
    """Bring the gauges up to date."""
    STORE_FREE.set(shutil.disk_usage(flow.root).free)
    with flow.database.read() as session:
        ENHANCEMENTS.clear()
        for state, count in enhancements.counts_by_state(session).items():
            ENHANCEMENTS.labels(state).set(count)
        HELD.clear()
        for hold in holds.listing(session):
            HELD.labels(hold.kind, hold.name).set(1)
        slices, seconds = head_starts.totals(session)
        for outcome, count in slices.items():
            HEAD_START_SLICES.labels(outcome).set(count)
        HEAD_START_SECONDS.set(seconds)
        DOWN.clear()
        for outage in outages.listing(session):
            DOWN.labels(outage.destination, outage.kind).set(1)
        DELIVERIES.clear()
        for (destination, state), count in deliveries.counts_by_state(session).items():
            DELIVERIES.labels(destination, state).set(count)
