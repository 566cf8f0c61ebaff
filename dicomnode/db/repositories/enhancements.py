"""The ledger's rows: enhancements, outputs, derived series. Who may change their state: `jobs.ledger`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Float,
    Row,
    Select,
    Update,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from dicomnode.db.clock import Clock
from dicomnode.db.models import DerivedSeriesRow, Enhancement, Output
from dicomnode.db.repositories.holds import ENHANCING, JOBS, is_held, names_held

_READY = Enhancement.state == literal_column("'ready'")
_RUNNING = Enhancement.state == literal_column("'running'")
_OVER = (Enhancement.state != literal_column("'ready'")) & (Enhancement.state != literal_column("'running'"))
"""In the words of the partial indexes: neither database uses one for a state that is a parameter."""

_TAKEN_AWAY = ("cancelled", "outdated")
_CHUNK = 500

_Query = TypeVar("_Query", bound=Select[*tuple[Any, ...]])

NOTHING_SHUT = -1
"""No priority has to wait."""

_ROW = Enhancement.metadata.tables[Enhancement.__tablename__].c

CLAIMABLE = (
    select(_ROW.id)
    .where(_READY, _ROW.not_before <= Clock(), _ROW.priority != bindparam("shut", NOTHING_SHUT))
    .where(~is_held(JOBS), ~is_held(ENHANCING), _ROW.pipeline.not_in(names_held(JOBS)))
    .order_by(_ROW.priority, _ROW.not_before, _ROW.id)
    .limit(1)
)
"""Id of the work that may start, the most urgent first. What is stopped or paused is asked in the same statement, so
that nothing starts once an operator was told that it is. `shut` is a priority that has to wait now."""

CLAIMED = "claimed"
NEXT = "next"
"""Claimed with the end of the worker's job before: until more is heard of it, it has not begun."""
RETURNED = "returned"
"""It came back from a worker that died with it as its next. It is held to have begun the next time, whatever is heard:
what kills every worker within moments must not go round for ever."""


def _take(stage: ColumnElement[str]) -> Update:
    query = update(_ROW.id.table).where(_ROW.id == CLAIMABLE.with_for_update(skip_locked=True).scalar_subquery())
    query = query.values(state="running", stage=stage, reason="", finished_at=None, attempt=_ROW.attempt + 1)
    query = query.values(worker=bindparam("by"), started_at=Clock(), lease_until=Clock(bindparam("lease", type_=Float)))
    return query.returning(_ROW.id, _ROW.attempt, _ROW.generation, _ROW.series_uid, _ROW.pipeline)


_TAKE = _take(literal(CLAIMED))
_TAKE_NEXT = _take(case((_ROW.stage == literal(RETURNED), literal(CLAIMED)), else_=literal(NEXT)))

ENDING = ("state", "reason", "finished_at", "failures", "worker", "lease_until")
"""The columns that the end of work changes."""

_FINISH = (
    update(_ROW.id.table)
    .where(_ROW.id == bindparam("of"))
    .values({_ROW[name]: bindparam(f"ending_{name}", type_=_ROW[name].type) for name in ENDING})
)
_FINISH_AND_TAKE = _TAKE_NEXT.add_cte(_FINISH.cte("finished"))
"""Both in one statement, which SQLite has no words for. They see the same moment: what is finished is not taken."""

_RENEW = (
    update(_ROW.id.table)
    .where(_ROW.id == bindparam("of"), _ROW.attempt == bindparam("at"), _RUNNING)
    .values(lease_until=Clock(bindparam("lease", type_=Float)), stage=bindparam("now_in"))
)


def _locked(query: _Query, skip: bool = False) -> _Query:
    """Rows that are read in order to be changed: as they are once they are ours, not as they were before."""
    return query.with_for_update(skip_locked=skip, of=Enhancement).execution_options(populate_existing=True)


_FENCED = _locked(
    select(Enhancement, is_held(ENHANCING), Clock())
    .where(Enhancement.id == bindparam("of"), Enhancement.attempt == bindparam("at"))
    .where(Enhancement.worker == bindparam("by"), _RUNNING)
)


def find(session: Session, id: int) -> Enhancement | None:
    return session.get(Enhancement, id)


def priority_of(session: Session, key: str) -> int | None:
    """How urgent the work of this key is, in whatever state; None: there is none."""
    return session.scalar(select(_ROW.priority).where(_ROW.key == key))


def by_key(session: Session, key: str) -> Enhancement | None:
    """The row, locked."""
    return session.scalar(_locked(select(Enhancement).where(Enhancement.key == key)))


def add(session: Session, row: Enhancement) -> bool:
    """Add a new row. False: another transaction has added one of this key since `by_key` found none."""
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        return False
    return True


def locked(session: Session, id: int) -> Enhancement:
    """The row of this number, locked. Raises NoResultFound."""
    return session.scalars(_locked(select(Enhancement).where(Enhancement.id == id))).one()


def lock(session: Session, row: Enhancement) -> None:
    """Lock a row that was read before, and read it again."""
    session.refresh(row, with_for_update=True)


def anything_claimable(session: Session, shut: int = NOTHING_SHUT) -> bool:
    """Whether `take` would find work; a read."""
    return session.connection().execute(CLAIMABLE, {"shut": shut}).first() is not None


def take(
    session: Session, worker: str, lease_seconds: float, shut: int = NOTHING_SHUT
) -> Row[int, int, int, str, str] | None:
    """The most urgent work is this worker's: (id, attempt, generation, series, pipeline), in one statement.

    What another transaction takes at the same moment is passed over, so that claimers never wait for each other.
    """
    values = {"by": worker, "lease": lease_seconds, "shut": shut}
    return session.connection().execute(_TAKE, values).one_or_none()


def finish_and_take(
    session: Session,
    row: Enhancement,
    ending: Mapping[str, Any],
    worker: str,
    lease_seconds: float,
    shut: int = NOTHING_SHUT,
) -> Row[int, int, int, str, str] | None:
    """Write the end of work that this transaction has locked, and `take`. `ending` has the columns ENDING names."""
    connection = session.connection()
    over = {"of": row.id, **{f"ending_{name}": value for name, value in ending.items()}}
    values = {"by": worker, "lease": lease_seconds, "shut": shut}
    if connection.dialect.name == "postgresql":
        taken = connection.execute(_FINISH_AND_TAKE, {**over, **values}).one_or_none()
    else:
        connection.execute(_FINISH, over)
        taken = connection.execute(_TAKE_NEXT, values).one_or_none()
    for name, value in ending.items():
        set_committed_value(row, name, value)
    return taken


def fenced(session: Session, id: int, attempt: int, worker: str) -> Row[Enhancement, bool, datetime] | None:
    """The row, locked, if this attempt of this worker still counts; whether enhancing is stopped; and the time."""
    return session.execute(_FENCED, {"of": id, "at": attempt, "by": worker}).one_or_none()


def counts(session: Session, id: int, attempt: int) -> bool:
    """Whether this attempt is still the one that counts; a read."""
    query = select(_ROW.id).where(_ROW.id == id, _ROW.attempt == attempt, _RUNNING)
    return session.connection().execute(query).first() is not None


def renew(session: Session, id: int, attempt: int, lease_seconds: float, stage: str) -> bool:
    """The lease begins anew, if this attempt is still the one that counts; False otherwise."""
    values = {"of": id, "at": attempt, "lease": lease_seconds, "now_in": stage}
    return session.connection().execute(_RENEW, values).rowcount == 1


def anything_left(session: Session) -> bool:
    """Whether any work waits or runs."""
    found = or_(*(select(_ROW.id).where(part).exists() for part in (_READY, _RUNNING)))
    return bool(session.scalar(select(found)))


def anything_overdue(session: Session, now: datetime, own: str = "", others_after: float = 0.0) -> bool:
    """Whether `lapsed` or `past_deadline` would find something."""
    running = _lapsed(now, own, others_after)
    overdue = or_(select(running.subquery()).exists(), select(_past_deadline(now).subquery()).exists())
    return bool(session.scalar(select(overdue)))


def lapsed(
    session: Session, now: datetime, limit: int, own: str = "", others_after: float = 0.0
) -> Sequence[Enhancement]:
    """Running work whose lease has run out, locked; what another node looks after already is left to it.

    Of workers whose names do not begin with `own`, only what ran out `others_after` seconds ago.
    """
    return session.scalars(_locked(_lapsed(now, own, others_after).limit(limit), skip=True)).all()


def past_deadline(session: Session, now: datetime, limit: int) -> Sequence[Enhancement]:
    """Work that nobody started in time, locked; what somebody takes at this moment is left to him."""
    return session.scalars(_locked(_past_deadline(now).limit(limit), skip=True)).all()


def running_on(session: Session, worker: str) -> Sequence[Enhancement]:
    """Running work of a worker, locked."""
    return session.scalars(_locked(select(Enhancement).where(_RUNNING, Enhancement.worker == worker))).all()


def running_under(session: Session, prefix: str) -> Sequence[Enhancement]:
    """Running work of the workers whose names begin so, locked."""
    query = select(Enhancement).where(_RUNNING, Enhancement.worker.startswith(prefix, autoescape=True))
    return session.scalars(_locked(query.order_by(Enhancement.id))).all()


def _lapsed(now: datetime, own: str, others_after: float) -> Select[Enhancement]:
    query = select(Enhancement).where(_RUNNING, Enhancement.lease_until < now)
    long_ago = Enhancement.lease_until < now - timedelta(seconds=others_after)
    return query.where(or_(long_ago, Enhancement.worker.startswith(own, autoescape=True))) if others_after else query


def _past_deadline(now: datetime) -> Select[Enhancement]:
    return select(Enhancement).where(_READY, Enhancement.deadline_at < now)


def of_series(session: Session, series_uid: str) -> Sequence[Enhancement]:
    return session.scalars(
        select(Enhancement).where(Enhancement.series_uid == series_uid).order_by(Enhancement.id)
    ).all()


def listing(session: Session, limit: int, state: str | None = None) -> Sequence[Enhancement]:
    """The newest first."""
    query = select(Enhancement).order_by(Enhancement.id.desc()).limit(limit)
    if state:
        part = {"ready": _READY, "running": _RUNNING}.get(state, (Enhancement.state == state) & _OVER)
        query = query.where(part)
    return session.scalars(query).all()


def derived_series(session: Session, enhancement_id: int) -> DerivedSeriesRow | None:
    return session.get(DerivedSeriesRow, enhancement_id)


def by_derived_uid(session: Session, uid: str) -> DerivedSeriesRow | None:
    """The derived series of this Series Instance UID."""
    return session.scalar(select(DerivedSeriesRow).where(DerivedSeriesRow.uid == uid))


def by_derived_uids(session: Session, uids: Sequence[str]) -> dict[str, DerivedSeriesRow]:
    """The derived series among these Series Instance UIDs, by UID."""
    chunks = (uids[start : start + _CHUNK] for start in range(0, len(uids), _CHUNK))
    wanted = (select(DerivedSeriesRow).where(DerivedSeriesRow.uid.in_(chunk)) for chunk in chunks)
    return {row.uid: row for query in wanted for row in session.scalars(query)}


def outputs(session: Session, enhancement_id: int) -> Sequence[Output]:
    """What was derived, each from a source: a note that rejects it all is of none."""
    query = select(Output).where(Output.enhancement_id == enhancement_id, Output.source_sop_uid != "")
    return session.scalars(query.order_by(Output.id)).all()


def containers_of_outputs(session: Session, names: Sequence[str]) -> set[str]:
    """Those of these containers that outputs point into and that retention has not given up: others may be swept."""
    kept = select(Output.container).where(Output.purged_at.is_(None)).distinct()
    chunks = (names[start : start + _CHUNK] for start in range(0, len(names), _CHUNK))
    return {name for chunk in chunks for name in session.scalars(kept.where(Output.container.in_(chunk)))}


def over_since(session: Session, moment: datetime) -> set[int]:
    """Ids of the work that has come to its end since: by whoever did it, or taken out of his hands (`operators.move`,
    which notes no end but when that was)."""
    ended = select(_ROW.id).where(_ROW.finished_at > moment)
    taken = select(_ROW.id).where(_OVER, _ROW.state.in_(_TAKEN_AWAY), _ROW.not_before >= moment)
    return {*session.scalars(ended), *session.scalars(taken)}


def staged_by_running(session: Session, folder: str) -> set[str]:
    """Containers that running attempts are writing now."""
    query = select(Enhancement.id, Enhancement.attempt).where(Enhancement.state == "running")
    return {f"{folder}/{id}/{attempt}.tar" for id, attempt in session.execute(query)}


def counts_by_state(session: Session) -> dict[str, int]:
    query = select(Enhancement.state, func.count()).group_by(Enhancement.state)
    return {state: count for part in (_READY, _RUNNING, _OVER) for state, count in session.execute(query.where(part))}


def ahead(session: Session, priority: int, of: str, shut: int = NOTHING_SHUT) -> list[tuple[str, str, int]]:
    """(state, pipeline, how many): the work that runs, and that which waits and is as urgent as this or more so.

    What is paused, or of the priority `shut`, is in nobody's way but its like's: `of` is the pipeline that asks. Where
    every job is paused, all are alike.
    """
    pipeline = func.coalesce(_ROW.pipeline, "")  # as no index has it: SQLite would group along all jobs
    query = select(_ROW.state, pipeline, func.count()).group_by(_ROW.state, pipeline)
    may_start = or_(_ROW.pipeline == of, _ROW.pipeline.not_in(names_held(JOBS)))
    may_start &= or_(literal(priority == shut), _ROW.priority != shut)
    parts = (_RUNNING, _READY & (_ROW.priority <= priority) & may_start)
    return [(row[0], row[1], row[2]) for part in parts for row in session.execute(query.where(part))]


def seconds_of_recent(session: Session, last: int = 200) -> dict[str, float]:
    """What a job of each pipeline took on the average, from its claim to its end, among the last that were done."""
    columns = select(_ROW.pipeline, _ROW.started_at, _ROW.finished_at)
    query = columns.where(_OVER, _ROW.state == "done").order_by(_ROW.id.desc()).limit(last)
    found: dict[str, list[float]] = {}
    for pipeline, started, finished in session.execute(query):
        if started is not None and finished is not None:
            found.setdefault(pipeline, []).append((finished - started).total_seconds())
    return {pipeline: sum(seconds) / len(seconds) for pipeline, seconds in found.items()}
