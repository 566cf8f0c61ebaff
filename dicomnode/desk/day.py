"""A day: from midnight on this machine's wall until now, and the charts over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import day_charts, today
from dicomnode.flow import Flow

STEP = timedelta(minutes=15)
"""Between two points of the queue's chart."""
SPAN = timedelta(minutes=30)
"""What one bar of the times' chart stands for."""
MOST_WAYS = 5000
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
    """`queue`: jobs that were ready or ran. `ways`: median seconds from the last slice to the PACS, per half hour.

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
    """The queue's length at each step, and now: what is in it now, less what came, and what went, since the step.

    Work that was begun anew counts as if it had been there since it was created.
    """
    created, finished = day_charts.created(session, since), day_charts.finished(session, since)
    length = sum(today.open_jobs(session).values())
    points = [Point(now, float(length))]
    end = now + STEP
    for at in reversed(_steps(since, now, STEP)):
        length += _within(finished, at, end) - _within(created, at, end)
        points.append(Point(at, float(max(0, length))))
        end = at
    return tuple(reversed(points))


def _medians(ways: Sequence[tuple[datetime, float]], since: datetime, now: datetime) -> list[Point]:
    spans: dict[int, list[float]] = {}
    for at, seconds in ways:
        spans.setdefault((at - since) // SPAN, []).append(seconds)
    found = [spans.get(number) for number in range(len(_steps(since, now, SPAN)))]
    return [Point(since + number * SPAN, median(values) if values else None) for number, values in enumerate(found)]


def _steps(since: datetime, now: datetime, step: timedelta) -> list[datetime]:
    """Every multiple of `step` from the beginning until now."""
    return [since + number * step for number in range((now - since) // step + 1)]


def _within(counts: Mapping[datetime, int], begin: datetime, end: datetime) -> int:
    return sum(count for minute, count in counts.items() if begin <= minute < end)
