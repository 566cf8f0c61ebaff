"""Jobs as people look for them: filtered, page by page, or their numbers in order to do something to all that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.orm import Session, defer

from dicomnode.db.models import Enhancement, Series
from dicomnode.db.repositories.values import values

_OPEN = ("ready", "running")
_OVER = (Enhancement.state != literal_column("'ready'")) & (Enhancement.state != literal_column("'running'"))
_BULKY = (defer(Enhancement.params), defer(Enhancement.writer_profile), defer(Enhancement.figures))

_ID: ColumnElement[int] = Enhancement.metadata.tables[Enhancement.__tablename__].c.id
_SORTED = _ID + 0
"""The number as no index has it. What waits and what runs is few, and has an index of its own, in another order: a
planner that sees that numbers are wanted in order would rather walk down all that is over."""


@dataclass(frozen=True)
class JobFilter:
    """What a job has to be; an empty field asks for nothing.

    `node` is where it runs now: only a job that runs is anywhere. `up_to`: no job that was entered after this one.
    """

    states: tuple[str, ...] = ()
    pipeline: str = ""
    series: str = ""
    node: str = ""
    priority: int | None = None
    up_to: int | None = None


class _Part(NamedTuple):
    conditions: list[ColumnElement[bool]]
    id: ColumnElement[int]
    """In whose order rows are wanted."""


class Listed(NamedTuple):
    """A job in a list (without its parameters and figures), and what its series is."""

    job: Enhancement
    modality: str
    description: str


def page(session: Session, wanted: JobFilter, limit: int, before: int | None = None) -> Sequence[Listed]:
    """The newest first, `limit` of them, beginning below the number `before`.

    Numbers first, then what belongs to them: most filters are answered from an index alone.
    """
    ids: list[int] = []
    for part in _parts(wanted):
        query = select(Enhancement.id).where(*part.conditions).order_by(part.id.desc()).limit(limit)
        ids += session.scalars(query if before is None else query.where(part.id < before))
    query_of_rows = (
        select(Enhancement, Series.modality, Series.description)
        .join(Series, Series.uid == Enhancement.series_uid)
        .where(Enhancement.id.in_(sorted(ids, reverse=True)[:limit]))
        .options(*_BULKY)
        .order_by(Enhancement.id.desc())
    )
    return [Listed(*row) for row in session.execute(query_of_rows)]


def numbers(session: Session, wanted: JobFilter) -> Sequence[int]:
    """The numbers of all that fit, the oldest first."""
    parts = (select(Enhancement.id).where(*part.conditions) for part in _parts(wanted))
    return sorted(id for part in parts for id in session.scalars(part))


def pipelines(session: Session) -> Sequence[str]:
    """The names of all pipelines that have jobs, in order."""
    return values(session, Enhancement.pipeline)


def _parts(wanted: JobFilter) -> list[_Part]:
    """One part for each state: each has an index of its own, in the words of `_of_state`."""
    others = _others(wanted)
    if wanted.node and wanted.states and "running" not in wanted.states:
        return []
    if wanted.node:
        here = func.substr(Enhancement.worker, 1, len(wanted.node) + 1) == f"{wanted.node}/"
        return [_Part([_of_state("running"), here, *others], _SORTED)]
    parts = [
        _Part([_of_state(state), *others], _SORTED if state in _OPEN else _ID) for state in dict.fromkeys(wanted.states)
    ]
    return parts or [_Part(others, _ID)]


def _of_state(state: str) -> ColumnElement[bool]:
    return Enhancement.state == literal_column(f"'{state}'") if state in _OPEN else (Enhancement.state == state) & _OVER


def _others(wanted: JobFilter) -> list[ColumnElement[bool]]:
    named = {Enhancement.pipeline: wanted.pipeline, Enhancement.series_uid: wanted.series}
    found: list[ColumnElement[bool]] = [column == text for column, text in named.items() if text]
    if wanted.priority is not None:
        found.append(Enhancement.priority == wanted.priority)
    if wanted.up_to is not None:
        found.append(Enhancement.id <= wanted.up_to)
    return found
