"""Series whose completion fails by an error of their own: tried again ever more seldom, and told of once."""

from dataclasses import dataclass
from datetime import datetime
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from dicomnode.db.models import Series
from dicomnode.db.refusal import refused
from dicomnode.deliver.backoff import Backoff
from dicomnode.observe import wordless

BACKOFF = Backoff(first=1.0, cap=300.0)
"""A series that takes a minute to fail takes a sixth of the time of those that complete."""


def reason_of(error: Exception) -> str:
    """What a series fails by, without the error's words: these may quote a patient.

    Empty where it is not the series that fails but the database, which is away, or busy: nothing is put off then.
    """
    if isinstance(error, SQLAlchemyError):
        return refused(error)
    return wordless(error)


@dataclass
class _Failed:
    times: int
    until: float
    mark: tuple[datetime, datetime | None]


class PutOff:
    """Changed by the one thread that completes series. A restart counts anew."""

    def __init__(self) -> None:
        self._failed: dict[str, _Failed] = {}

    def waits(self, series: Series) -> bool:
        """Whether it has failed and nothing has changed since: no instance came, and nobody asked for it."""
        failed = self._failed.get(series.uid)
        return failed is not None and failed.mark == _mark(series) and monotonic() < failed.until

    def uids(self) -> tuple[str, ...]:
        """The series that failed and were not completed here since. For any thread."""
        return tuple(self._failed)

    def times(self, series: Series) -> int:
        """How often it has failed."""
        failed = self._failed.get(series.uid)
        return failed.times if failed else 0

    def failed(self, series: Series) -> None:
        """Once more."""
        times = self.times(series) + 1
        self._failed[series.uid] = _Failed(times, monotonic() + BACKOFF.ceiling(times), _mark(series))

    def completed(self, series: Series) -> None:
        """Another failure will be the first."""
        self._failed.pop(series.uid, None)


def _mark(series: Series) -> tuple[datetime, datetime | None]:
    return series.last_arrival_at, series.due_at
