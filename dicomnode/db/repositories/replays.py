"""Replays of a document on the series of the past, and what they found."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session, aliased

from dicomnode.db.models import Replay, ReplayChange, SeriesFactsRow
from dicomnode.domain.states import REPLAY

Key = tuple[str, int]
"""Series Instance UID and generation."""


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


def progress(session: Session, replay_id: int, done: int, changed: int) -> bool:
    """How far it is. False: somebody ended it."""
    query = update(Replay).where(Replay.id == replay_id, Replay.state == "running")
    return bool(session.execute(query.values(done=done, changed=changed)).rowcount)  # type: ignore[attr-defined]


def end(session: Session, replay_id: int, state: str, at: datetime, **values: Any) -> bool:
    """It is over. False: it was already."""
    query = update(Replay).where(Replay.id == replay_id, Replay.state.in_(REPLAY.before(state)))
    return bool(session.execute(query.values(state=state, finished_at=at, **values)).rowcount)  # type: ignore[attr-defined]


def abandon(session: Session, node: str, reason: str, begun_before: datetime, at: datetime) -> Sequence[int]:
    """End as failed what was begun under this name before that time. Returns which."""
    begun = (Replay.node == node) & (Replay.state == "running") & (Replay.started_at < begun_before)
    ended = update(Replay).where(begun).values(state="failed", reason=reason, finished_at=at)
    return session.scalars(ended.returning(Replay.id)).all()


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


def series_count(session: Session, since: datetime, until: datetime) -> int:
    """How many series have a generation that was completed in this period."""
    period = SeriesFactsRow.completed_at.between(since, until)
    return session.scalar(select(func.count(SeriesFactsRow.series_uid.distinct())).where(period)) or 0


def series_keys(
    session: Session, since: datetime, until: datetime, after: tuple[datetime, Key] | None, limit: int
) -> Sequence[tuple[datetime, str, int]]:
    """The newest generation within the period of each series, in the order of completion, behind `after`."""
    row, newer = SeriesFactsRow, aliased(SeriesFactsRow)
    newest = ~(
        select(newer.series_uid)
        .where(newer.series_uid == row.series_uid, newer.generation > row.generation, newer.completed_at <= until)
        .exists()
    )
    query = select(row.completed_at, row.series_uid, row.generation).where(row.completed_at.between(since, until))
    if after is not None:
        query = query.where(_behind(after))
    return session.execute(query.where(newest).order_by(row.completed_at, row.series_uid).limit(limit)).all()


def _behind(after: tuple[datetime, Key]) -> Any:
    at, (series_uid, _) = after
    row = SeriesFactsRow
    return (row.completed_at > at) | ((row.completed_at == at) & (row.series_uid > series_uid))
