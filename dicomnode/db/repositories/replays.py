"""Replays of a document on the series of the past, and what they found."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, insert, literal, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from dicomnode.db.models import Replay, ReplayChange, Series, SeriesFactsRow, Study
from dicomnode.db.types import UtcTime
from dicomnode.domain.states import REPLAY

Place = tuple[datetime, str]
"""When a generation was completed, and of which series: where it stands in the order in which replays look at them."""


def find(session: Session, replay_id: int) -> Replay | None:
    return session.get(Replay, replay_id)


def listing(session: Session, before: int | None, limit: int) -> Sequence[Replay]:
    """The newest replays, or those before an id; the newest first."""
    query = select(Replay).order_by(Replay.id.desc()).limit(limit)
    return session.scalars(query if before is None else query.where(Replay.id < before)).all()


def of_document(session: Session, digest: str, base: int | None = None) -> Replay | None:
    """The newest replay of this document, against this revision if one is given."""
    query = select(Replay).where(Replay.digest == digest).order_by(Replay.id.desc()).limit(1)
    return session.scalar(query if base is None else query.where(Replay.base == base))


def done_for(session: Session, digest: str, base: int) -> Replay | None:
    """The newest replay of exactly this document against this revision that went through to its end."""
    query = select(Replay).where(Replay.digest == digest, Replay.base == base, Replay.state == "done")
    return session.scalar(query.order_by(Replay.id.desc()).limit(1))


def waiting(session: Session, node: str) -> int | None:
    """The oldest replay that this node has to run."""
    query = select(Replay.id).where(Replay.node == node, Replay.state == "running")
    return session.scalar(query.order_by(Replay.id).limit(1))


def progress(session: Session, replay_id: int, done: int, total: int, changed: int) -> bool:
    """How far it is. False: somebody ended it."""
    query = update(Replay).where(Replay.id == replay_id, Replay.state == "running")
    return bool(session.execute(query.values(done=done, total=total, changed=changed)).rowcount)  # type: ignore[attr-defined]


def end(session: Session, replay_id: int, state: str, at: datetime, **values: Any) -> bool:
    """It is over. False: it was already."""
    query = update(Replay).where(Replay.id == replay_id, Replay.state.in_(REPLAY.before(state)))
    return bool(session.execute(query.values(state=state, finished_at=at, **values)).rowcount)  # type: ignore[attr-defined]


def abandon(session: Session, node: str, reason: str, begun_before: datetime, at: datetime) -> Sequence[int]:
    """End as failed what was begun under this name before that time. Returns which."""
    begun = (Replay.node == node) & (Replay.state == "running") & (Replay.started_at < begun_before)
    ended = update(Replay).where(begun).values(state="failed", reason=reason, finished_at=at)
    return session.scalars(ended.returning(Replay.id)).all()


def forget_changes(session: Session, replay_id: int) -> None:
    """What an attempt that was cut off had found."""
    session.execute(delete(ReplayChange).where(ReplayChange.replay_id == replay_id))


def add_changes(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what a replay found of some series."""
    if rows:
        session.execute(insert(ReplayChange), list(rows))


def changes(
    session: Session, replay_id: int, *, rule: str = "", kind: str = "", after: int = 0, limit: int
) -> Sequence[ReplayChange]:
    """What a replay found, in its order, behind the row `after`."""
    query = select(ReplayChange).where(ReplayChange.replay_id == replay_id, ReplayChange.id > after)
    if rule:
        query = query.where(ReplayChange.rule == rule)
    if kind:
        query = query.where(ReplayChange.kind == kind)
    return session.scalars(query.order_by(ReplayChange.id).limit(limit)).all()


def patients_of(session: Session, series_uids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """What is known of the patient of each of these series: name, identifier, accession number."""
    query = select(Series.uid, Study.patient_name, Study.patient_id, Study.accession_number)
    rows = session.execute(query.join(Study, Study.uid == Series.study_uid).where(Series.uid.in_(series_uids)))
    return {uid: tuple(known) for uid, *known in rows}


def periods(session: Session, since: datetime, until: datetime, size: int) -> Iterator[tuple[Place, Place, int]]:
    """The series with a generation completed in this period, in parts of `size`: (behind which, up to which, count)."""
    query = select(_ROW.completed_at, _ROW.series_uid).where(*_newest(since, until)).order_by(*_ORDER)
    before: Place = (since, "")
    last, count = before, 0
    for completed_at, series_uid in session.execute(query.execution_options(yield_per=size)):
        last, count = (completed_at, series_uid), count + 1
        if count == size:
            yield before, last, count
            before, count = last, 0
    if count:
        yield before, last, count


def stored_facts(session: Session, behind: Place, up_to: Place, until: datetime) -> Sequence[tuple[str, int, str, str]]:
    """One part: (series, generation, facts, circumstances) of each, the last two as JSON text that nobody has read."""
    place: Any = tuple_(*_ORDER)
    query = (
        select(_ROW.series_uid, _ROW.generation, cast(_ROW.facts, Text), cast(_ROW.circumstances, Text))
        .where(*_newest(behind[0], up_to[0], until))
        .where(place > _bound(behind), place <= _bound(up_to))
        .order_by(*_ORDER)
    )
    return session.execute(query).all()


_ROW, _NEWER = SeriesFactsRow, aliased(SeriesFactsRow)
_ORDER = (_ROW.completed_at, _ROW.series_uid)


def _bound(place: Place) -> Any:
    return tuple_(literal(place[0], UtcTime()), literal(place[1], Text()))


def _newest(since: datetime, last: datetime, until: datetime | None = None) -> tuple[ColumnElement[bool], ...]:
    """Completed from `since` to `last`, and no later generation until `until` (`last`, unless it is given)."""
    of_it = (_NEWER.series_uid == _ROW.series_uid) & (_NEWER.generation > _ROW.generation)
    newer = select(_NEWER.series_uid).where(of_it, _NEWER.completed_at <= (until or last)).exists()
    return _ROW.completed_at.between(since, last), ~newer
