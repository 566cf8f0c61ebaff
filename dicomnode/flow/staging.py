"""Containers of derived instances: staged by an attempt, kept once the fenced commit points to them, else swept."""

import re
from collections.abc import Callable
from pathlib import Path

from dicomnode.db.repositories import enhancements, head_starts
from dicomnode.domain.instance import Location
from dicomnode.flow.context import Flow
from dicomnode.flow.made_ahead import all_caches
from dicomnode.flow.prepared import Derive, Prepared
from dicomnode.flow.written import Written
from dicomnode.store.staged import link_containers, write_container

STAGING = "derived"
"""Folder of the staged and committed outputs under the store's root."""

_LINKED = re.compile(r"-\d+\.tar$")
"""How the names of containers that were made ahead end: 3.tar is what attempt 3 wrote, 3-1.tar what it found."""

_OLD_SECONDS = 86_400.0
"""Nobody waits so long for what was made ahead: others may need the room."""


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
    """Staged containers in which no output is kept and that no running attempt owns.

    The files are listed before the ledger is asked: an attempt that begins in between is not among them.
    """
    staged = list((flow.root / STAGING).glob("*/*.tar"))
    if not staged:
        return []
    with flow.database.read() as session:
        kept = enhancements.containers_of_outputs(session)
        running = enhancements.staged_by_running(session, STAGING)
    names = {path: str(path.relative_to(flow.root)) for path in staged}
    return [path for path, name in names.items() if name not in kept and _LINKED.sub(".tar", name) not in running]


def sweep_staging(flow: Flow) -> int:
    """Remove the orphans among the staged containers, and what was made ahead for nothing. Returns how many."""
    orphans = staged_orphans(flow)
    for path in orphans:
        path.unlink(missing_ok=True)
    return len(orphans) + _sweep_ahead(flow)


def _sweep_ahead(flow: Flow) -> int:
    swept = 0
    for cache, source in all_caches(flow.root):
        with flow.database.read() as session:
            is_needed = head_starts.needed(session, cache.work, source)
        if not is_needed or cache.age_seconds() > _OLD_SECONDS:
            cache.remove()
            swept += 1
    with flow.database.write() as session:
        head_starts.forget(session)
    return swept
