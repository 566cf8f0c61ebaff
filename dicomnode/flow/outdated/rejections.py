"""What others say of instances that this node has: rejected (IHE IOCM), or not to be had any more."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.complete.manifest import listed_in, titles_of
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Enhancement, Series
from dicomnode.db.repositories import enhancements, outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.rejection import QUALITY, TITLES, Ground, refused, rejected, withdrawn
from dicomnode.domain.site import Site
from dicomnode.flow.context import Flow
from dicomnode.flow.outdated.outdating import outdate, outdate_work
from dicomnode.store.index_arrivals import NewInstance


def note_document(flow: Flow, session: Session, new: NewInstance) -> None:
    """A Key Object Selection document came: if it is a rejection note, what it lists is rejected.

    That may be what this node derived, which somebody has looked at and does not want: it is outdated, whatever its
    source is worth. Not if a dicomnode wrote the note: what was derived is known to be outdated then.
    """
    titles = titles_of(new.header) & TITLES.keys()
    listed = listed_in(new.header) if titles and not new.derived_by_node else {}
    if not listed:
        return
    code, by = min(titles), new.row.calling_aet
    here, counts = _reject(session, new.row.sop_uid, code, by, listed)
    ours = enhancements.by_derived_uids(session, list(counts))
    for series_uid, count in counts.items():
        if series_uid in here:  # should another one come, completion knows of it
            _apply(flow, session, here[series_uid], rejected(code, count, by), new.row.sop_uid)
        if (derived := ours.get(series_uid)) is not None:
            work = session.get_one(Enhancement, derived.enhancement_id)
            outdate_work(flow, session, work, refused(code, count, by))


def note_unavailable(flow: Flow, session: Session, site: Site, event: Mapping[str, Any]) -> None:
    """What a notification calls unavailable is withdrawn, where its sender should know.

    That an instance cannot be had of one application says nothing of others (PS3.3 C.4.23.1.1), unless it is the one
    that it came from, or one that this node sends to.
    """
    by = str(event["calling_aet"])
    ours = any(destination.ae_title.strip() == by.strip() for destination in site.destinations)
    listed: dict[str, list[str]] = {}
    for series_uid, sop_uid in event["unavailable"]:
        listed.setdefault(series_uid, []).append(sop_uid)
    if not ours:
        came = series_rows.of(session, list(listed))
        listed = {uid: listed[uid] for uid, series in came.items() if series.calling_aet.strip() == by.strip()}
    source = str(event["sop_instance_uid"])
    here, counts = _reject(session, source, QUALITY, by, listed)
    for series_uid, series in here.items():
        if series_uid in counts:
            _apply(flow, session, series, withdrawn(counts[series_uid], by), source)


def refusal(codes: Iterable[str]) -> str:
    """Why nothing is derived from a series of which instances were rejected under titles with these codes."""
    return ", ".join(sorted(TITLES[code] for code in codes))


def contradiction(counts: Mapping[str, int]) -> str:
    """What came again of a series (`instances.contradicted`): "1 of its instances came again as a conflict"."""
    return ", ".join(f"{count} of its instances came again as a {kind}" for kind, count in sorted(counts.items()))


def _reject(
    session: Session, source: str, code: str, by: str, listed: Mapping[str, Iterable[str]]
) -> tuple[dict[str, Series], dict[str, int]]:
    """Those of the series that are here, and as `outdatings.reject`. A series that is completing just now is waited
    for: its work is in the ledger then, and is found; one that completes later finds what was rejected."""
    here = series_rows.lock(session, list(listed))
    return here, outdatings.reject(session, source, code, by, listed, database_now(session))


def _apply(flow: Flow, session: Session, series: Series, ground: Ground, source: str) -> None:
    record(
        session,
        "series.rejected",
        ground.reason,
        node=flow.node,
        outcome="warning",
        study_uid=series.study_uid,
        series_uid=series.uid,
        subject=f"instance:{source}",
        detail={"code": ground.code, "source": source},
    )
    outdate(flow, session, series.uid, ground)
