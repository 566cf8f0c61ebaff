"""A clock that is set back: no timer waits for longer than the settings ever make one wait.

Times that something waits for are columns, on the database's clock. When that is set back by a day (or was a day ahead
for a minute), whatever was written before lies a day ahead: work that was ready, leases of the dead, quiet times. No
jump has to be noticed for this, nor be survived in memory: what lies too far ahead is seen in the column itself.
A clock that is set forward needs no help: what waits is due early, and every lease is fenced.
"""

from collections.abc import Mapping

from dicomnode.audit.events import record
from dicomnode.db.repositories import timers
from dicomnode.flow.commitment import reporting, vouching
from dicomnode.flow.commitment.confirming import LEASE_SECONDS
from dicomnode.flow.context import Flow

_A_MINUTE = 60.0
"""What nobody sets and is short: claims on things that take seconds."""

MARGIN_SECONDS = 30.0
"""What clocks of several nodes may differ by, and their settings."""


def mend_timers(flow: Flow) -> bool:
    """Bring back what lies too far ahead. Returns False. Safe on any number of nodes. Raises database errors."""
    bounds = _bounds(flow)
    with flow.database.read() as session:
        if not timers.any_beyond(session, bounds, MARGIN_SECONDS):
            return False
    with flow.database.write() as session:
        changed = timers.bring_back(session, bounds, MARGIN_SECONDS)
        if changed:
            words = ", ".join(f"{name} ({count})" for name, count in sorted(changed.items()))
            message = f"the clock was set back: timers lay too far ahead and are due sooner: {words}"
            record(session, "node.clock", message, node=flow.node, outcome="warning", detail=changed)
    return False


def _bounds(flow: Flow) -> Mapping[str, float]:
    """The longest that each timer is ever set to, in seconds from the moment that it is set."""
    settings = flow.settings
    confirmation, delivery, engine = settings.confirmation, settings.delivery, settings.engine
    return {
        "completion": max(settings.completion.quiet_seconds, *settings.completion.per_sender.values(), 0.0),
        "retry": engine.retry_seconds,
        "lease": engine.lease_seconds,
        "delivery": max(delivery.backoff_cap, delivery.refused_seconds),
        "delivery lease": delivery.lease_seconds,
        "confirmation": max(confirmation.backoff_cap, confirmation.report_seconds * 64, LEASE_SECONDS),
        "outage": max(delivery.backoff_cap, delivery.refused_seconds),
        "commitment": max(reporting.BACKOFF.cap, vouching.LEASE_SECONDS),
        "head start": _A_MINUTE,
        "rejection note": _A_MINUTE,
        "sign of life": 0.0,
    }
