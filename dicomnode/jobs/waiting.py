"""Why work that is ready does not run yet, in words."""

from collections.abc import Iterable
from datetime import datetime

from dicomnode.db.models import Enhancement, Hold
from dicomnode.db.repositories.enhancements import NOTHING_SHUT
from dicomnode.db.repositories.holds import ENHANCING, JOBS
from dicomnode.domain.off_peak import OffPeak
from dicomnode.domain.priority import PRIORITIES

_STOPPED = {ENHANCING: "enhancing is stopped", JOBS: "every job is paused"}


def shut(off_peak: OffPeak, now: datetime) -> int:
    """The priority of which nothing may start now."""
    return NOTHING_SHUT if off_peak.is_open(now) else PRIORITIES["off-peak"]


def hold_words(hold: Hold) -> str:
    """What is held, by whom and why: "enhancing is stopped by anna since ... (ghosts in the liver)"."""
    said = f"{hold.name} is paused" if hold.name else _STOPPED[hold.kind]
    since = hold.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{said} by {hold.by} since {since}" + (f" ({hold.reason})" if hold.reason else "")


def waits_for(row: Enhancement, held: Iterable[Hold], off_peak: OffPeak, now: datetime) -> str:
    """What this piece of work waits for; empty unless it is ready."""
    if row.state != "ready":
        return ""
    for hold in held:
        if hold.kind == ENHANCING or (hold.kind == JOBS and hold.name in ("", row.pipeline)):
            return hold_words(hold)
    if row.priority == shut(off_peak, now):
        return f"the off-peak hours {off_peak}"
    if row.not_before > now:
        return f"its next attempt at {row.not_before.astimezone():%H:%M:%S}"
    return "a worker"
