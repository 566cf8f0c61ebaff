"""Jobs as people look for them: filtered, page by page, or their numbers in order to do something to all that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, defer

from dicomnode.db.models import Enhancement, Series
from dicomnode.db.repositories import by_number
from dicomnode.db.repositories.by_number import Part
from dicomnode.db.repositories.values import values

_OPEN = ("ready", "running")
_BULKY = (defer(Enhancement.params), defer(Enhancement.writer_profile), defer(Enhancement.figures))

_ID: ColumnElement[int] = Enhancement.metadata.tables[Enhancement.__tablename__].c.id
_SORTED = _ID + 0
"""The number as no index has it. What waits and what runs is few, and has an index of its own, in another order: a
planner that sees that numbers are wanted in order would rather walk down all that is over."""


@dataclass(frozen=True)
class JobFilter:
    """What a job has to be; an empty field asks for nothing.

    `node` is where it runs, or ran last: what waits is nowhere. `up_to`: no job that was entered after this one.
    """

    states: tuple[str, ...] = ()
    pipeline: str = ""
    series: str = ""
    node: str = ""
    priority: int | None = None
    up_to: int | None = None


class Listed(NamedTuple):
    """A job in a list (without its parameters and figures), and what its series is."""

    job: Enhancement
    modality: str
    description: str


def page(session: Session, wanted: JobFilter, limit: int, before: int | None = None) -> Sequence[Listed]:
    """The newest first, `limit` of them, beginning below the number `before`."""
    ids = by_number.newest(session, Enhancement.id, _parts(wanted), limit, before)
    query = (
        select(Enhancement, Series.modality, Series.description)
        .join(Series, Series.uid == Enhancement.series_uid)
        .where(Enhancement.id.in_(ids))
        .options(*_BULKY)
        .order_by(Enhancement.id.desc())
    )
    return [Listed(*row) for row in session.execute(query)]


def numbers(session: Session, wanted: JobFilter) -> Sequence[int]:
    """The numbers of all that fit, the oldest first."""
    return by_number.every(session, Enhancement.id, _parts(wanted))


def pipelines(session: Session) -> Sequence[str]:
    """The names of all pipelines that have jobs, in order."""
    return values(session, Enhancement.pipeline)


def _parts(wanted: JobFilter) -> list[Part]:
    others = _others(wanted)
    parts = [
        Part([by_number.in_state(Enhancement.state, state, _OPEN), *others], _SORTED if state in _OPEN else _ID)
        for state in dict.fromkeys(wanted.states)
    ]
    return parts or [Part(others, _ID)]


def _others(wanted: JobFilter) -> list[ColumnElement[bool]]:
    found = by_number.equal({Enhancement.pipeline: wanted.pipeline, Enhancement.series_uid: wanted.series})
    if wanted.node:
        found.append(func.substr(Enhancement.worker, 1, len(wanted.node) + 1) == f"{wanted.node}/")
    if wanted.priority is not None:
        found.append(Enhancement.priority == wanted.priority)
    if wanted.up_to is not None:
        found.append(Enhancement.id <= wanted.up_to)
    return found
