"""A day: from midnight on this machine's wall until now, and the charts over it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import day_charts, today
from dicomnode.flow import Flow

STEP = timedelta(minutes=15)
"""What one point of the queue's chart stands for."""
MINUTE = timedelta(minutes=1)
SPAN = timedelta(minutes=30)
"""What one bar of the times' chart stands for."""
MOST_WAYS = 2000
"""So many deliveries are looked at, the newest."""


@dataclass(frozen=True)
class Point:
    """A value at an instant, or of the span that begins with it. None: nothing was measured."""

    at: datetime
    value: float | None

    @property
    def rounded(self) -> float | None:
        """To a tenth, for reading."""
        return None if self.value is None else round(self.value, 1)


@dataclass(frozen=True)
class Charts:
    """`queue`: jobs that were ready or ran, the most at any full minute of each step. `ways`: median seconds from the
    last slice to the PACS, of each half hour.

    `way_median` and `way_longest` are of the whole day, None without any; `way_count` is how many there were.
    """

    queue: tuple[Point, ...]
    ways: tuple[Point, ...]
    way_count: int
    way_median: float | None
    way_longest: float | None


def midnight(now: datetime) -> datetime:
    """When the day of `now` began on this machine's wall."""
    begin = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None, fold=0)
    return begin.astimezone(now.tzinfo)


def charts_of(flow: Flow) -> Charts:
    """The charts of the day so far, in one consistent view. Raises database errors."""
    with flow.database.read() as session:
        return charts(session, database_now(session))


def charts(session: Session, now: datetime) -> Charts:
    """The charts of the day so far."""
    since = midnight(now)
    ways = day_charts.ways(session, since, MOST_WAYS)
    seconds = [value for _, value in ways]
    return Charts(
        queue=_queue(session, since, now),
        ways=tuple(_medians(ways, since, now)),
        way_count=len(ways),
        way_median=median(seconds) if seconds else None,
        way_longest=max(seconds, default=None),
    )


def _queue(session: Session, since: datetime, now: datetime) -> tuple[Point, ...]:
    """The longest that the queue was at a full minute, for each step; and its length now.

    From its length now it is followed back minute by minute, by what came and what went. Work that was begun anew
    counts as if it had been there since it was created.
    """
    created, finished = day_charts.created(session, since), day_charts.finished(session, since)
    length = present = sum(today.open_jobs(session).values())
    longest: dict[int, int] = {}
    for minute in reversed(_steps(since, now, MINUTE)):
        length += finished.get(minute, 0) - created.get(minute, 0)
        step = (minute - since) // STEP
        longest[step] = max(longest.get(step, 0), length)
    points = [Point(since + step * STEP, float(longest[step])) for step in sorted(longest)]
    return (*points, Point(now, float(present)))


def _medians(ways: Sequence[tuple[datetime, float]], since: datetime, now: datetime) -> list[Point]:
    spans: dict[int, list[float]] = {}
    for at, seconds in ways:
        spans.setdefault((at - since) // SPAN, []).append(seconds)
    found = [spans.get(number) for number in range(len(_steps(since, now, SPAN)))]
    return [Point(since + number * SPAN, median(values) if values else None) for number, values in enumerate(found)]


def _steps(since: datetime, now: datetime, step: timedelta) -> list[datetime]:
    """Every multiple of `step` from the beginning until now."""
    return [since + number * step for number in range((now - since) // step + 1)]
