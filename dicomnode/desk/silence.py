"""Senders that usually send at this time of the week, and have sent nothing for hours.

Usual is what happened in each of the two weeks before: something came from the sender in the same hours of the same
weekday. So nothing is said on a node younger than two weeks, of a scanner that stands still on Sundays, or at night.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from dicomnode.db.repositories import senders

WEEKS = (1, 2)
"""How many weeks ago it must have sent, each of them."""


@dataclass(frozen=True)
class Silence:
    """A sender, and when something came from it last."""

    calling_aet: str
    last_heard: datetime


def silent(session: Session, now: datetime, hours: float) -> Iterator[Silence]:
    """Senders from which nothing came for `hours` though they usually send then, by title; none if `hours` is 0."""
    if not hours:
        return
    usual = set.intersection(*(senders.heard(session, *window(now, hours, weeks)) for weeks in WEEKS))
    for calling_aet in sorted(usual - senders.heard(session, *window(now, hours, 0))):
        last = senders.last_heard(session, calling_aet)
        if last is not None and last < now - timedelta(hours=hours):
            yield Silence(calling_aet, last)


def window(now: datetime, hours: float, weeks: int) -> tuple[datetime, datetime]:
    """The `hours` that ended so many weeks ago at this time of day, by the clock on this machine's wall."""
    on_the_wall = now.astimezone().replace(tzinfo=None) - timedelta(weeks=weeks)
    end = on_the_wall.astimezone(now.tzinfo) if weeks else now
    return end - timedelta(hours=hours), end
