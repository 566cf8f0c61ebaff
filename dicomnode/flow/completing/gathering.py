"""Facts of series that are about to complete, gathered while their grace passes: completion then has them at once.

A cache in memory: what is found there is believed only for exactly the bytes that it was gathered of.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from datetime import timedelta

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Instance, Series
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.facts import SeriesFacts
from dicomnode.flow.context import Flow, facts_of_all

SOON = timedelta(seconds=1.5)
"""Nearer than this to completion a series is gathered: so long before, most of its instances are here."""
_KEPT = 8
"""Series that are remembered: a large one's facts take megabytes."""


class Gathered:
    """For the one thread that completes series."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._facts: OrderedDict[str, tuple[Hashable, SeriesFacts]] = OrderedDict()

    def gather(self) -> None:
        """Gather one series that falls due soon, if there is one that has changed since it was gathered last."""
        with self._flow.database.read() as session:
            now = database_now(session)
            for series in series_rows.due_between(session, now, now + SOON):
                rows = instances.of_series(session, series.uid)
                if self._known(series, rows) is None:
                    break
            else:
                return
        self._facts[series.uid] = _mark(rows, series), facts_of_all(self._flow, rows, series)
        while len(self._facts) > _KEPT:
            self._facts.popitem(last=False)

    def take(self, rows: Sequence[Instance], series: Series) -> SeriesFacts:
        """The facts of a series with these instances: what was gathered of them, or else gathered now."""
        known = self._known(series, rows)
        self._facts.pop(series.uid, None)
        return facts_of_all(self._flow, rows, series) if known is None else known

    def _known(self, series: Series, rows: Sequence[Instance]) -> SeriesFacts | None:
        mark, facts = self._facts.get(series.uid, (None, None))
        return facts if facts is not None and mark == _mark(rows, series) else None


def _mark(rows: Iterable[Instance], series: Series) -> Hashable:
    """What facts follow from: the bytes of every instance, and what the receipts say of how it came."""
    instances = frozenset((row.sop_uid, row.sha256, row.container, row.offset, row.calling_aet) for row in rows)
    return series.called_aet, instances
