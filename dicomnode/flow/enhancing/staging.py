"""Containers of derived instances: staged by an attempt, kept once the fenced commit points to them, else swept."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import enhancements, head_starts
from dicomnode.domain.instance import Location
from dicomnode.flow.context import Flow
from dicomnode.flow.enhancing.prepared import Derive, Prepared
from dicomnode.flow.enhancing.written import Written
from dicomnode.flow.head_start.made_ahead import MadeAhead, all_caches
from dicomnode.store.staged import link_containers, write_container

STAGING = "derived"
"""Folder of the staged and committed outputs under the store's root."""

_LINKED = re.compile(r"-\d+\.tar$")
"""How the names of containers that were made ahead end: 3.tar is what attempt 3 wrote, 3-1.tar what it found."""

_OLD_SECONDS = 86_400.0
"""Nobody waits so long for what was made ahead: others may need the room."""

_LATELY = timedelta(minutes=30)
"""An attempt that no longer counts learns of it, and has left behind what it will, long before this is over."""


def stage(
    root: Path, name: str, prepared: Prepared, flagged: Derive | None, note: Callable[[Written], None]
) -> list[tuple[Written, Location]]:
    """Make the containers of an attempt; what lies in them and where, in the order of the slices.

    What was made ahead is linked, which copies nothing; where that cannot be, or the series is flagged, it is written
    with the rest to `root/name.tar`. `note` is told of each instance that is written. Raises StoreFull, StoreFailed and
    what deriving raises.
    """
    containers = () if flagged else sorted({kept.location.container for kept in prepared.kept})
    linked = link_containers(root, {each: f"{name}-{number}.tar" for number, each in enumerate(containers, 1)})
    there = [kept for kept in prepared.kept if kept.location.container in linked]
    made: list[Written] = []

    def noted(written: Written) -> None:
        note(written)
        made.append(written)

    files = prepared.files(flagged, noted, there)
    locations = write_container(root, f"{name}.tar", files) if len(prepared) > len(there) else []
    found = {written.source_sop_uid: (written, location) for written, location in zip(made, locations, strict=True)}
    for kept in there:
        place = kept.location
        at = Location(linked[place.container], place.offset, place.length)
        found[kept.sop_uid] = kept.written, at
    return [found[uid] for uid in prepared.sop_uids]


def staged_orphans(flow: Flow) -> list[Path]:
    """Staged containers in which no output is kept and that no running attempt owns."""
    return _orphans(flow, list((flow.root / STAGING).glob("*/*.tar")))


def _orphans(flow: Flow, staged: Sequence[Path]) -> list[Path]:
    """Those among these. The files are listed before the ledger is asked: an attempt that begins in between is not
    among them.
    """
    if not staged:
        return []
    names = {path: str(path.relative_to(flow.root)) for path in staged}
    with flow.database.read() as session:
        kept = enhancements.containers_of_outputs(session, list(names.values()))
        running = enhancements.staged_by_running(session, STAGING)
    return [path for path, name in names.items() if name not in kept and _LINKED.sub(".tar", name) not in running]


def sweep_staging(flow: Flow) -> int:
    """Remove the orphans among the staged containers, and what was made ahead for nothing. Returns how many.

    Every container is looked at: for a start, and for after a worker's death.
    """
    return _remove(staged_orphans(flow)) + _sweep_ahead(flow)


def sweep_lately(flow: Flow) -> int:
    """The same for the work that has ended of late, however it did: cheap enough for every minute."""
    with flow.database.read() as session:
        ended = enhancements.over_since(session, database_now(session) - _LATELY)
    staged = [path for id in ended for path in (flow.root / STAGING / str(id)).glob("*.tar")]
    return _remove(_orphans(flow, staged)) + _sweep_ahead(flow)


def _remove(orphans: Sequence[Path]) -> int:
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans)


def _sweep_ahead(flow: Flow) -> int:
    caches = list(all_caches(flow.root))
    with flow.database.read() as session:
        swept = [cache for cache, source in caches if _is_over(session, cache, source)]
    for cache in swept:
        cache.remove()
    with flow.database.write() as session:
        head_starts.forget(session)
    return len(swept)


def _is_over(session: Session, cache: MadeAhead, source: str) -> bool:
    return cache.age_seconds() > _OLD_SECONDS or not head_starts.needed(session, cache.work, source)
