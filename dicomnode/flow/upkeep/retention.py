"""Retention: series that are finished with give up their bytes, the oldest first; what is known of them stays.

Two transactions with unlinks between them, in an order that a crash cannot spoil: rows first (from then on nothing
reads the bytes), then the files, then the note that they are gone. What is left undone the next turn does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Container, Series
from dicomnode.db.repositories import instances, retention
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.staging import sweep_lately, sweep_staging
from dicomnode.observe import checkpoint, log
from dicomnode.settings import StoreSettings
from dicomnode.store.again import REST
from dicomnode.store.disk_check import free_bytes
from dicomnode.store.retention import remove_containers

BATCH = 100
"""Series that one turn gives up at most; the next one follows at once."""

_BARE_AGE = timedelta(days=1)
"""Containers of events alone repeat what SQL says: they stay a while longer, in case SQL is lost."""

_GIB = 1 << 30


@dataclass(frozen=True)
class Retained:
    """What one turn gave up, and the bytes of containers that are still waited for."""

    series: int = 0
    containers: int = 0
    freed: int = 0
    waiting: int = 0

    def __add__(self, other: "Retained") -> "Retained":
        """Both turns; what is waited for is what the later one found."""
        return Retained(
            self.series + other.series, self.containers + other.containers, self.freed + other.freed, other.waiting
        )


def retain(flow: Flow) -> Retained:
    """Give up what the settings say, and remove the containers in which nothing is kept. Safe on any number of nodes.

    What attempts left behind and what was made ahead for nobody goes in any case: nothing was ever promised of it.
    Raises database errors and OSError.
    """
    store = flow.settings.store
    if not (store.retention_days or store.keep_free_gb):
        return Retained(containers=sweep_lately(flow))
    with flow.database.read() as session:
        now = database_now(session)
    done = Retained()
    if store.retention_days:
        reason = f"nothing happened to it for {store.retention_days:g} days"
        done += Retained(series=_purge(flow, now - age_of(store), reason))
    done += _remove(flow)
    shortage = int(store.keep_free_gb * _GIB) - free_bytes(flow.root) - done.waiting
    if shortage > 0:
        reason = f"free space is below {store.keep_free_gb:g} GiB, and nothing else was finished with for longer"
        done += Retained(series=_purge(flow, now - REST, reason, shortage))
        done += _remove(flow)
    if done.series:
        log.info("retention", series=done.series, containers=done.containers, freed=done.freed)
    return done


def age_of(store: StoreSettings) -> timedelta:
    """How long nothing must have happened to a series before it is given up for its age."""
    return max(timedelta(days=store.retention_days), REST)


def _purge(flow: Flow, before: datetime, reason: str, wanted: int | None = None) -> int:
    """Give up series that rested since `before`, until there are no more or `wanted` bytes are found."""
    with flow.database.read() as session:
        uids = retention.candidates(session, before, BATCH)
    count = found = 0
    for uid in uids:
        if wanted is not None and found >= wanted:
            break
        size = _purge_series(flow, uid, before, reason)
        count, found = count + (size is not None), found + (size or 0)
    return count


def _purge_series(flow: Flow, uid: str, before: datetime, reason: str) -> int | None:
    """One series in one transaction; the bytes it gave up. None: something of it is open again."""
    with flow.database.write() as session:
        purged = retention.purge(session, uid, before, database_now(session))
        if purged is None:
            return None
        counts = {"instances": purged.instances, "versions": purged.versions, "outputs": purged.outputs}
        record(
            session,
            "series.purged",
            f"{purged.instances} instances and {purged.outputs} derived ones gave up their bytes: {reason}",
            node=flow.node,
            study_uid=purged.study_uid,
            series_uid=uid,
            detail={**counts, "bytes": purged.bytes, "reason": reason},
        )
    checkpoint("purged")
    return purged.bytes


def emptied(flow: Flow) -> dict[str, int]:
    """This store's containers in which all was given up: how far each has been indexed."""
    with flow.database.read() as session:
        return _ours(flow, retention.emptied(session))


def _ours(flow: Flow, rows: Sequence[Container]) -> dict[str, int]:
    """Of this node, or in its store although it had another name then."""
    return {row.name: row.indexed_to for row in rows if row.node == flow.node or (flow.root / row.name).exists()}


def _remove(flow: Flow) -> Retained:
    """Unlink this node's containers in which nothing is kept any more, received and derived ones."""
    removed = remove_containers(flow.root, emptied(flow))
    with flow.database.read() as session:
        bare = _ours(flow, retention.bare(session))
    others = remove_containers(flow.root, bare, max(age_of(flow.settings.store), _BARE_AGE).total_seconds())
    checkpoint("removed")
    if names := removed.names + others.names:
        with flow.database.write() as session:
            retention.mark_removed(session, names, database_now(session))
    derived = sweep_staging(flow)
    return Retained(containers=len(names) + derived, freed=removed.freed + others.freed, waiting=removed.waiting)


def keep(flow: Flow, session: Session, series: Series, actor: str) -> None:
    """Retention leaves this series alone, until it is released."""
    series.kept_by = actor
    message = f"{actor} keeps it from retention"
    record(session, "series.kept", message, node=flow.node, actor=actor, series_uid=series.uid)


def release(flow: Flow, session: Session, series: Series, actor: str, *, promise: bool = False) -> int:
    """Nobody holds it any more: not who kept it, nor its conflicts, which somebody has looked at. Returns these.

    What a modality was promised by storage commitment still holds it, unless that `promise` is taken back as well.
    """
    series.kept_by = ""
    settled = instances.settle_conflicts(session, series.uid, database_now(session))
    message = f"{actor} leaves it to retention; {settled} conflicts are settled"
    detail: dict[str, Any] = {"conflicts": settled}
    if promise and series.kept_for:
        message += f"; it was promised to {series.kept_for} by storage commitment"
        detail["promised_to"], series.kept_for = series.kept_for, ""
    record(session, "series.released", message, node=flow.node, actor=actor, series_uid=series.uid, detail=detail)
    return settled
