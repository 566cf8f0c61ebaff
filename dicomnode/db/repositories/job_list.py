"""Jobs as people look for them: filtered, page by page, or their numbers in order to do something to all that fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, literal_column, select
from sqlalchemy.orm import Session, defer

from dicomnode.db.models import Enhancement, Series

_RUNNING = Enhancement.state == literal_column("'running'")
_OVER = (Enhancement.state != literal_column("'ready'")) & (Enhancement.state != literal_column("'running'"))
_BULKY = (defer(Enhancement.params), defer(Enhancement.writer_profile), defer(Enhancement.figures))


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


class Listed(NamedTuple):
    """A job in a list (without its parameters and figures), and what its series is."""

    job: Enhancement
    modality: str
    description: str


def page(session: Session, wanted: JobFilter, limit: int, before: int | None = None) -> Sequence[Listed]:
    """The newest first, `limit` of them, beginning below the number `before`."""
    query = select(Enhancement, Series.modality, Series.description).join(Series, Series.uid == Enhancement.series_uid)
    query = query.options(*_BULKY).order_by(Enhancement.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Enhancement.id < before)
    found = [Listed(*row) for part in _parts(wanted) for row in session.execute(query.where(*part))]
    return sorted(found, key=lambda row: -row.job.id)[:limit]


def numbers(session: Session, wanted: JobFilter, limit: int | None = None) -> Sequence[int]:
    """The numbers of all that fit, the oldest first; `limit` of them at most."""
    query: Select[int] = select(Enhancement.id).order_by(Enhancement.id).limit(limit)
    return sorted(id for part in _parts(wanted) for id in session.scalars(query.where(*part)))[:limit]


def newest(session: Session) -> int:
    """The number of the newest job; 0: there is none."""
    return session.scalar(select(func.max(Enhancement.id))) or 0


def pipelines(session: Session) -> Sequence[str]:
    """The names of all pipelines that have jobs, found by hopping over the index from one name to the next."""
    found: list[str] = []
    query = select(func.min(Enhancement.pipeline))
    while (name := session.scalar(query.where(Enhancement.pipeline > found[-1]) if found else query)) is not None:
        found.append(name)
    return found


def _parts(wanted: JobFilter) -> list[list[ColumnElement[bool]]]:
    """Conditions, one list for each state: each state has an index of its own, in the words of `_of_state`."""
    others = list(_others(wanted))
    if wanted.node and wanted.states and "running" not in wanted.states:
        return []
    if wanted.node:
        return [[_RUNNING, func.substr(Enhancement.worker, 1, len(wanted.node) + 1) == f"{wanted.node}/", *others]]
    return [[_of_state(state), *others] for state in dict.fromkeys(wanted.states)] or [others]


def _of_state(state: str) -> ColumnElement[bool]:
    if state in ("ready", "running"):
        return Enhancement.state == literal_column(f"'{state}'")
    return (Enhancement.state == state) & _OVER


def _others(wanted: JobFilter) -> Sequence[Any]:
    named = {Enhancement.pipeline: wanted.pipeline, Enhancement.series_uid: wanted.series}
    found: list[Any] = [column == text for column, text in named.items() if text]
    if wanted.priority is not None:
        found.append(Enhancement.priority == wanted.priority)
    if wanted.up_to is not None:
        found.append(Enhancement.id <= wanted.up_to)
    return found
