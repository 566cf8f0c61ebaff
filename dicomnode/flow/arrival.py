"""store -> complete: what happens when new instances are in SQL. Runs inside the indexer's transaction."""

from collections.abc import Iterator

from pydicom.uid import KeyObjectSelectionDocumentStorage
from sqlalchemy.orm import Session

from dicomnode.complete.schedule import note_availability, note_manifest, note_requests, schedule
from dicomnode.complete.tally import Arrival
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.rejection import CONTRADICTED
from dicomnode.domain.site import Site
from dicomnode.flow.context import Flow, facts_of
from dicomnode.flow.outdating import outdate
from dicomnode.flow.rejections import note_document, note_unavailable
from dicomnode.jobs.ledger import PRIORITIES
from dicomnode.route.rules import decide_forwarding
from dicomnode.store.index_arrivals import Arrivals


def take_in(flow: Flow, session: Session, arrivals: Arrivals) -> None:
    """Forward originals, note senders' lists, say when each touched series falls due, outdate what was contradicted."""
    _, site = flow.site.get(session)
    forwards = any(rule.state == "live" and rule.forward_original_to for rule in site.rules)
    touched = dict(arrivals.series)
    if forwards:
        _forward(flow, session, site, arrivals)
    for listed in _listed(session, arrivals):
        mentioned = touched.get(listed) or series_rows.lock(session, [listed]).get(listed)
        if mentioned is not None and mentioned.state == "receiving":
            touched[listed] = mentioned
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


def _listed(session: Session, arrivals: Arrivals) -> Iterator[str]:
    """Series of which a list came, or of which all came that a list names."""
    for new in arrivals.new:
        if new.sop_class_uid == KeyObjectSelectionDocumentStorage:  # no other header needs to be read
            yield from note_manifest(session, new.header, new.row.calling_aet)
    for event in arrivals.events:
        if event.get("event") == "availability":
            yield from note_availability(session, event)
    yield from note_requests(session, database_now(session))


def _forward(flow: Flow, session: Session, site: Site, arrivals: Arrivals) -> None:
    """Plan originals for every destination that a live rule names, but never for the one they came from."""
    planned: dict[tuple[str, str, str, int], list[Sendable]] = {}
    for new in arrivals.new:
        series = arrivals.series[new.series_uid]
        if series.derived_by_node or new.derived_by_node:
            continue
        row = new.row
        original = Sendable(row.sop_uid, row.sop_class_uid, row.transfer_syntax_uid, instances.location(row))
        for match in decide_forwarding(site, facts_of(new.header, row, series)):
            for name in match.rule.forward_original_to:
                destination = site.destination(name)
                if destination is not None and destination.ae_title.strip() != row.calling_aet.strip():
                    key = (series.uid, name, match.rule.name, PRIORITIES[match.rule.priority])
                    planned.setdefault(key, []).append(original)
    now = database_now(session)
    for (series_uid, name, rule, priority), originals in sorted(planned.items(), key=lambda entry: entry[0]):
        subject = Subject(series_uid, arrivals.series[series_uid].study_uid)
        plan_delivery(session, name, subject, originals, rule=rule, node=flow.node, now=now, priority=priority)
