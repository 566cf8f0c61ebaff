"""Waiting for the node: until the series is complete, the work done and everything delivered, or given up."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from dicomnode.cli.common import fail
from dicomnode.cli.process import Child
from dicomnode.db.database import Database
from dicomnode.db.repositories import deliveries, enhancements
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.states import DELIVERY, ENHANCEMENT

_LONGEST = 900.0
_OPEN_DELIVERY = {*DELIVERY.before("sending"), "sending"}
_OPEN_WORK = {*ENHANCEMENT.before("running"), "running"}


@dataclass(frozen=True)
class Progress:
    """What the node does now, and how many instances of how many were delivered."""

    doing: str
    delivered: int = 0
    to_deliver: int | None = None


def wait_for_node(
    database: Database, node: Child, series_uid: str, seen: Callable[[int, int | None, str], None]
) -> None:
    """Return when nothing is left to do for the series. Raises CommandFailed if the node ends or never gets there."""
    deadline = time.monotonic() + _LONGEST
    while (progress := look(database, series_uid)) is not None:
        seen(progress.delivered, progress.to_deliver, progress.doing)
        node.require_alive()
        if time.monotonic() > deadline:
            fail(f"the node is still at it after {_LONGEST:g} s ({progress.doing}){node.last_words()}")
        time.sleep(0.2)


def look(database: Database, series_uid: str) -> Progress | None:
    """What is still to be done for the series; None when nothing is."""
    with database.read() as session:
        row = series_rows.find(session, series_uid)
        if row is None or row.state == "receiving":
            return Progress("waiting for the series to be complete")
        plans = deliveries.of_series(session, series_uid)
        counts = [deliveries.counts(session, plan.id) for plan in plans]
        sent, total = sum(each.get("sent", 0) for each in counts), sum(sum(each.values()) for each in counts)
        for work in enhancements.of_series(session, series_uid):
            if work.state in _OPEN_WORK:
                doing = f"{work.pipeline}: {work.stage or work.state}"
                return Progress(doing, sent, total)
        if any(plan.state in _OPEN_DELIVERY for plan in plans):
            return Progress("delivering to the PACS", sent, total)
    return None
