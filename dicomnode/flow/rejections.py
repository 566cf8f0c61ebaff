"""What others say of instances that this node has: rejected (IHE IOCM), or not to be had any more."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.complete.manifest import listed_in, titles_of
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Series
from dicomnode.db.repositories import outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.rejection import QUALITY, TITLES, Ground, rejected, withdrawn
from dicomnode.domain.site import Site
from dicomnode.flow.context import Flow
from dicomnode.flow.outdating import outdate
from dicomnode.store.index_arrivals import NewInstance


def note_document(flow: Flow, session: Session, new: NewInstance) -> None:
    """A Key Object Selection document came: if it is a rejection note, what it lists is rejected.

    Not if a dicomnode wrote it: that tells of what was derived.
    """
    titles = titles_of(new.header) & TITLES.keys()
    listed = listed_in(new.header) if titles and not new.derived_by_node else {}
    if not listed:
        return
    code, by = min(titles), new.row.calling_aet
    counts = outdatings.reject(session, new.row.sop_uid, code, by, listed, database_now(session))
    for series_uid, count in counts.items():
        _apply(flow, session, series_uid, rejected(code, count, by), new.row.sop_uid)


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
    listed = {uid: sop_uids for uid, sop_uids in listed.items() if ours or _came_from(session, uid, by)}
    source = str(event["sop_instance_uid"])
    counts = outdatings.reject(session, source, QUALITY, by, listed, database_now(session))
    for series_uid, count in counts.items():
        _apply(flow, session, series_uid, withdrawn(count, by), source)


def refusal(codes: Iterable[str]) -> str:
    """Why nothing is derived from a series of which instances were rejected under titles with these codes."""
    return ", ".join(sorted(TITLES[code] for code in codes))


def _came_from(session: Session, series_uid: str, calling_aet: str) -> bool:
    series = series_rows.find(session, series_uid)
    return series is not None and series.calling_aet.strip() == calling_aet.strip()


def _apply(flow: Flow, session: Session, series_uid: str, ground: Ground, source: str) -> None:
    series: Series | None = series_rows.find(session, series_uid)
    if series is None:
        return  # should it come, completion knows of it
    record(
        session,
        "series.rejected",
        ground.reason,
        node=flow.node,
        outcome="warning",
        study_uid=series.study_uid,
        series_uid=series_uid,
        subject=f"instance:{source}",
        detail={"code": ground.code, "source": source},
    )
    outdate(flow, session, series_uid, ground)
