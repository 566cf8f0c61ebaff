"""Series, their generations and facts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dicomnode.db.models import Manifest, Series, SeriesFactsRow, Study
from dicomnode.domain.facts import SeriesFacts

_CHUNK = 500


def find(session: Session, uid: str) -> Series | None:
    return session.get(Series, uid)


def of(session: Session, uids: Sequence[str]) -> dict[str, Series]:
    """Those of these series that are there, by UID."""
    chunks = (uids[start : start + _CHUNK] for start in range(0, len(uids), _CHUNK))
    return {row.uid: row for chunk in chunks for row in session.scalars(select(Series).where(Series.uid.in_(chunk)))}


def lock(session: Session, uids: Collection[str]) -> dict[str, Series]:
    """Those of these series that are there, by UID, read anew: nobody else changes them in this transaction.

    In the order of their UIDs, so that two who want the same ones wait and do not block each other. Rows that refer to
    a series can still be added.
    """
    found: dict[str, Series] = {}
    ordered = sorted(uids)
    for start in range(0, len(ordered), _CHUNK):
        query = select(Series).where(Series.uid.in_(ordered[start : start + _CHUNK])).order_by(Series.uid)
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        found.update((row.uid, row) for row in session.scalars(query))
    return found


def add(session: Session, studies: Sequence[Mapping[str, Any]], series: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, every column given, in the order of their UIDs. One that another transaction adds meanwhile stays as
    it is: this waits for its end."""
    insert_into = (sqlite if session.get_bind().dialect.name == "sqlite" else postgresql).insert
    for model, rows in ((Study, studies), (Series, series)):
        ordered = sorted(rows, key=lambda row: str(row["uid"]))
        session.connection().execute(insert_into(model).on_conflict_do_nothing(), ordered)


def due(session: Session, now: datetime) -> Sequence[Series]:
    """Series whose time has come, oldest first."""
    query = select(Series).where(Series.state == "receiving", Series.due_at <= now).order_by(Series.due_at)
    return session.scalars(query).all()


def due_between(session: Session, since: datetime, until: datetime) -> Sequence[Series]:
    """Series whose time comes in between, the nearest first."""
    query = select(Series).where(Series.state == "receiving", Series.due_at > since, Series.due_at <= until)
    return session.scalars(query.order_by(Series.due_at)).all()


def complete(session: Session, uid: str, seen_arrival: datetime, now: datetime) -> int | None:
    """Make the next generation, if nothing arrived since `seen_arrival`. Returns its number, or None: look again."""
    query = update(Series).where(Series.uid == uid, Series.state == "receiving", Series.last_arrival_at == seen_arrival)
    values = {"state": "complete", "generation": Series.generation + 1, "completed_at": now, "due_at": None}
    if session.execute(query.values(values)).rowcount != 1:  # type: ignore[attr-defined]
        return None
    return session.scalar(select(Series.generation).where(Series.uid == uid))


def returned(session: Session, row: Series) -> None:
    """An instance came after retention had given up the series: it is stored again.

    Written by a statement of its own: `row` may have been read before another node's retention set the column.
    """
    session.execute(update(Series).where(Series.uid == row.uid).values(purged_at=None))
    session.refresh(row, ["purged_at"])


def add_facts(
    session: Session,
    uid: str,
    generation: int,
    facts: SeriesFacts,
    circumstances: Mapping[str, Any],
    *,
    reason: str,
    count: int,
    at: datetime,
) -> None:
    """Keep the facts of a generation, and the circumstances under which it was decided on; they outlive the files."""
    session.add(
        SeriesFactsRow(
            series_uid=uid,
            generation=generation,
            completed_at=at,
            reason=reason,
            instance_count=count,
            facts=facts.to_json(),
            circumstances=dict(circumstances),
        )
    )


def facts(session: Session, uid: str, generation: int | None = None) -> SeriesFactsRow | None:
    """The facts of one generation, of the newest by default."""
    query = select(SeriesFactsRow).where(SeriesFactsRow.series_uid == uid)
    if generation is not None:
        query = query.where(SeriesFactsRow.generation == generation)
    return session.scalar(query.order_by(SeriesFactsRow.generation.desc()).limit(1))


def add_manifests(session: Session, source: str, calling_aet: str, listed: Mapping[str, Iterable[str]]) -> None:
    """Keep what this source lists of each series, but of those of which it has given a list already."""
    known = set(session.scalars(select(Manifest.series_uid).where(Manifest.source == source))) if listed else set()
    about = {"source": source, "calling_aet": calling_aet}
    rows = [
        {"series_uid": series_uid, "sop_uids": sorted(sop_uids), **about}
        for series_uid, sop_uids in listed.items()
        if series_uid not in known
    ]
    if rows:
        session.execute(insert(Manifest), rows)


def manifests(session: Session, series_uid: str) -> Sequence[Manifest]:
    """Lists that senders gave of this series."""
    return session.scalars(select(Manifest).where(Manifest.series_uid == series_uid)).all()
