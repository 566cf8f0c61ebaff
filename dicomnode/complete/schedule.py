"""When a series falls due, as columns: written at every arrival, so that a restart forgets no timer."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from pydicom import Dataset
from sqlalchemy.orm import Session

from dicomnode.complete.evidence import Due, Evidence, Manifest, dues
from dicomnode.complete.manifest import AVAILABILITY, BIT_BY_BIT, described, manifest_of
from dicomnode.complete.tally import Count
from dicomnode.db.models import Manifest as ManifestRow
from dicomnode.db.models import Series
from dicomnode.db.repositories import associations, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.settings import CompletionSettings


def schedule(session: Session, series: Series, settings: CompletionSettings, count: Count) -> None:
    """Set the series' due columns from the evidence there is now; `count` is of what is stored of it."""
    found = dues(_evidence(session, series, count), settings)
    first, quiet = min(found, key=lambda due: due.at), found[-1]
    series.due_at, series.due_reason, series.quiet_at = first.at, first.reason, quiet.at
    series.wait_for_aet = series.calling_aet if first.needs_closed_association else ""


def is_due(session: Session, series: Series, now: datetime) -> Due | None:
    """Why the series is complete now, or None: an association of its sender is still open."""
    if series.due_at is None or series.due_at > now:
        return None
    if not series.wait_for_aet or not associations.open_from(session, series.wait_for_aet):
        return Due(series.due_at, series.due_reason)
    if series.quiet_at is not None and series.quiet_at <= now:
        return Due(series.quiet_at, "quiet time is over, although its sender keeps an association open")
    return None


def note_manifest(session: Session, sop_uid: str, header: Dataset, calling_aet: str) -> Mapping[str, set[str]]:
    """Keep the list of a key object document that claims to be complete; returns it by series.

    `sop_uid` is the one it is stored under: what a header makes of its own may raise when it is asked for.
    """
    listed = manifest_of(header) or {}
    series_rows.add_manifests(session, sop_uid, calling_aet, listed)
    return listed


def note_availability(session: Session, event: Mapping[str, Any]) -> Iterable[str]:
    """Keep what an Instance Availability Notification lists as available (PS3.4 Annex R). Returns its series."""
    listed: dict[str, list[str]] = {}
    for series_uid, sop_uid in event["available"]:
        listed.setdefault(series_uid, []).append(sop_uid)
    source = f"{AVAILABILITY} {event['sop_instance_uid']}"
    series_rows.add_manifests(session, source, event["calling_aet"], listed)
    return listed


def command(series: Series, who: str, now: datetime) -> None:
    """Someone says that the series is complete. Raises ValueError if it already is."""
    if series.state != "receiving":
        raise ValueError(f"the series is already complete (generation {series.generation})")
    series.due_at, series.due_reason, series.wait_for_aet = now, f"{who} asked for completion", ""


def _evidence(session: Session, series: Series, count: Count) -> Evidence:
    listed = [row for row in series_rows.manifests(session, series.uid) if row.calling_aet == series.calling_aet]
    manifests = tuple(_manifests(listed))
    # Numbers and UIDs decide nothing before there are enough of them, and reading them for every batch of a long series
    # would be quadratic.
    numbering = instances.numbering(session, series.uid) if count.complete else ()
    enough = any(manifest.may_hold(count.instances) for manifest in manifests)
    return Evidence(
        last_arrival=series.last_arrival_at,
        image_count=len(numbering),
        instance_numbers=[number for number, _, _ in numbering if number is not None],
        announced=frozenset(count for _, _, count in numbering if count is not None),
        acquisitions=frozenset(number for _, number, _ in numbering if number is not None),
        lacks_numbers=any(count is None or acquisition is None for _, acquisition, count in numbering),
        senders=frozenset({series.calling_aet}),
        sop_uids=instances.sop_uids(session, series.uid) if enough else set(),
        manifests=manifests,
    )


def _manifests(rows: Iterable[ManifestRow]) -> Iterator[Manifest]:
    """Every list that claims to be complete, and together those that came bit by bit."""
    gathered: dict[str, set[str]] = {}
    for row in rows:
        kind, sop_uids = described(row.source), map(str, row.sop_uids)
        if kind in BIT_BY_BIT:
            gathered.setdefault(kind, set()).update(sop_uids)
        else:
            yield Manifest(kind, frozenset(sop_uids))
    for kind, together in gathered.items():
        yield Manifest(kind, frozenset(together), claims_all=False)
