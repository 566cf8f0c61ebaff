"""What became of a series, in one word: the word of an administrator, not of a state machine.

One table says it for a filter (SQL) and for a row; the first status that holds is the series' own. What only shadow
rules asked for does not count: nobody waits for it, and it goes nowhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, false, not_, or_, select, true
from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, Enhancement, RuleDecision, Series
from dicomnode.domain.priority import SHADOW_PRIORITY
from dicomnode.domain.states import DELIVERED


@dataclass(frozen=True)
class Status:
    """One status: its name, what it means, and when it holds of a row of `series`."""

    name: str
    words: str
    holds: ColumnElement[bool]


def _job(*states: str) -> ColumnElement[bool]:
    found = select(Enhancement.id).where(Enhancement.series_uid == Series.uid, Enhancement.state.in_(states))
    return found.where(Enhancement.priority < SHADOW_PRIORITY).exists()


def _delivery(*states: str) -> ColumnElement[bool]:
    return select(Delivery.id).where(Delivery.series_uid == Series.uid, Delivery.state.in_(states)).exists()


def _without_work() -> ColumnElement[bool]:
    """A live rule matched, and no work came of it: declined, overloaded, not whole."""
    found = select(RuleDecision.id).where(RuleDecision.series_uid == Series.uid, RuleDecision.matched)
    return found.where(RuleDecision.rule_state == "live", RuleDecision.enhancement_id.is_(None)).exists()


STATUSES = (
    Status(
        "failed", "a job or a delivery was set aside: somebody has to look", or_(_job("failed"), _delivery("failed"))
    ),
    Status("withheld", "a guard vetoed: originals only", _job("withheld")),
    Status("receiving", "instances are still expected", Series.state == "receiving"),
    Status("enhancing", "a worker is at it", _job("running")),
    Status("waiting", "its work waits for a worker", _job("ready")),
    Status("delivering", "on its way to a destination", _delivery("pending", "sending")),
    Status(
        "originals only",
        "a rule asked for work that was not done: declined, too late, cancelled or overloaded",
        and_(not_(_job("done")), or_(_job("expired", "cancelled"), _without_work())),
    ),
    Status("delivered", "every destination took it", _delivery(*DELIVERED)),
    Status("enhanced", "computed, and sent nowhere", _job("done")),
    Status("complete", "here, and no rule asked for anything", true()),
)
"""The most urgent first."""

NAMES = tuple(status.name for status in STATUSES)

_STATUS = case(*((status.holds, status.name) for status in STATUSES[:-1]), else_=STATUSES[-1].name)


def is_of(name: str) -> ColumnElement[bool]:
    """The series of this status: it holds, and none that goes before it. Raises StopIteration for an unknown name.

    Within a CASE, for PostgreSQL to ask it of one series after the other until a page is full: what it may join it
    works out for all of them first.
    """
    mine = next(status for status in STATUSES if status.name == name)
    before = reversed(STATUSES[: STATUSES.index(mine)])  # what most series are comes last: it is asked first
    return case((and_(mine.holds, *(not_(status.holds) for status in before)), true()), else_=false())


def of(session: Session, uids: Iterable[str]) -> dict[str, str]:
    """The status of each of these series, by UID."""
    return dict(session.execute(select(Series.uid, _STATUS).where(Series.uid.in_(list(uids)))).all())
