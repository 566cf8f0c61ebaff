"""store -> complete: what happens when new instances are in SQL. Runs inside the indexer's transaction."""

from pydicom import Dataset
from sqlalchemy.orm import Session

from dicomnode.audit.events import record
from dicomnode.complete.schedule import note_manifest, schedule
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Instance, Series
from dicomnode.db.repositories import enhancements, instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.provenance import is_derived_by_dicomnode
from dicomnode.domain.site import Site
from dicomnode.flow.context import Flow, facts_of
from dicomnode.route.rules import decide_forwarding
from dicomnode.store.index import Arrivals


def take_in(flow: Flow, session: Session, arrivals: Arrivals) -> None:
    """Forward originals, note senders' manifests, and say when each touched series falls due."""
    _, site = flow.site.get(session)
    forwards = any(rule.state == "live" and rule.forward_original_to for rule in site.rules)
    touched = dict(arrivals.series)
    for row, header in arrivals.new:
        series = arrivals.series[row.series_uid]
        if forwards and not series.derived_by_node and not is_derived_by_dicomnode(header):
            _forward(flow, session, site, row, header, series)
        for listed in note_manifest(session, header, row.calling_aet):
            mentioned = series_rows.find(session, listed)
            if mentioned is not None and mentioned.state == "receiving":
                touched[listed] = mentioned
    for series in touched.values():
        schedule(session, series, flow.settings.completion)
    for series_uid, kind in arrivals.contradicted.items():
        _outdate(flow, session, series_uid, f"an instance of its source came again as a {kind}")


def _forward(flow: Flow, session: Session, site: Site, row: Instance, header: Dataset, series: Series) -> None:
    """Plan this original for every destination that a live rule names, but never for the one it came from."""
    now = database_now(session)
    subject = Subject(series.uid, series.study_uid)
    original = Sendable(row.sop_uid, row.sop_class_uid, row.transfer_syntax_uid, instances.location(row))
    for match in decide_forwarding(site, facts_of(header, row, series)):
        for name in match.rule.forward_original_to:
            destination = site.destination(name)
            if destination is not None and destination.ae_title.strip() != row.calling_aet.strip():
                plan_delivery(session, name, subject, [original], rule=match.rule.name, node=flow.node, now=now)


def _outdate(flow: Flow, session: Session, series_uid: str, reason: str) -> None:
    for row in enhancements.of_series(session, series_uid):
        if row.state == "done":
            row.state, row.reason = "outdated", reason
            record(
                session,
                "enhancement.outdated",
                reason,
                node=flow.node,
                outcome="warning",
                series_uid=series_uid,
                subject=f"enhancement:{row.id}",
            )
