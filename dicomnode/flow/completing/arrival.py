"""store -> complete: what happens when new instances are in SQL. Runs inside the indexer's transaction."""

from collections.abc import Iterator

from pydicom.uid import KeyObjectSelectionDocumentStorage
from sqlalchemy.orm import Session

from dicomnode.complete.schedule import note_availability, note_manifest, schedule
from dicomnode.complete.tally import Arrival
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.rejection import CONTRADICTED
from dicomnode.flow.completing.forwarding import forward
from dicomnode.flow.context import Flow
from dicomnode.flow.outdated.outdating import outdate
from dicomnode.flow.outdated.rejections import note_document, note_unavailable
from dicomnode.store.index_arrivals import Arrivals


def take_in(flow: Flow, session: Session, arrivals: Arrivals) -> None:
    """Forward originals, note senders' lists, say when each touched series falls due, outdate what was contradicted."""
    revision, site = flow.site.get(session)
    touched = dict(arrivals.series)
    forward(flow, session, revision, site, arrivals)
    mentioned = set(_listed(flow, session, arrivals)) - touched.keys()
    touched.update((uid, row) for uid, row in series_rows.lock(session, mentioned).items() if row.state == "receiving")
    came: dict[str, list[Arrival]] = {}
    for new in arrivals.new:
        came.setdefault(new.series_uid, []).append(
            Arrival(new.columns["is_image"], new.columns["images_in_acquisition"])
        )
    for uid, series in touched.items():
        if series.indexed_by != flow.node:
            flow.tally.forget(uid)
            series.indexed_by = flow.node
        schedule(session, series, flow.settings.completion, flow.tally.add(session, uid, came.get(uid, ())))
    for series_uid, kind in arrivals.contradicted.items():
        outdate(flow, session, series_uid, CONTRADICTED[kind])
    for new in arrivals.new:
        if new.sop_class_uid == KeyObjectSelectionDocumentStorage:
            note_document(flow, session, new)
    for event in arrivals.events:
        if event.get("event") == "availability" and event["unavailable"]:
            note_unavailable(flow, session, site, event)


def _listed(flow: Flow, session: Session, arrivals: Arrivals) -> Iterator[str]:
    """Series of which a list came, or of which all came that a list names."""
    for new in arrivals.new:
        if new.sop_class_uid == KeyObjectSelectionDocumentStorage:  # no other header needs to be read
            yield from note_manifest(session, new.row.sop_uid, new.header, new.row.calling_aet)
    for event in arrivals.events:
        if event.get("event") == "availability":
            yield from note_availability(session, event)
    yield from flow.awaited.look(session, database_now(session))
