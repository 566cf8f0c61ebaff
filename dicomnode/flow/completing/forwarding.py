"""store -> deliver, on arrival: originals that live rules forward."""

from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.instance import Location
from dicomnode.domain.priority import PRIORITIES
from dicomnode.domain.site import Rule, Site
from dicomnode.flow.completing.forwarding_rules import Original
from dicomnode.flow.context import Flow
from dicomnode.store.index_arrivals import Arrivals, NewInstance
from dicomnode.store.index_batch import Read
from dicomnode.store.index_headers import Headers
from dicomnode.store.members import InstanceMember


def foresee(flow: Flow, batch: Sequence[Read]) -> None:
    """Decide on what of a batch is new before its transaction begins, but for what only becomes known in it.

    The facts of a thousand frames take a second: whoever writes to SQLite waits for a transaction, and PostgreSQL ends
    one that is silent for too long, every time it is tried. Raises OSError, EOFError and database errors.
    """
    with flow.database.read() as session:
        revision, site = flow.site.get(session)
        if not _forwards(site):
            return
        originals = list(_new(session, batch))
    headers = Headers(flow.root)
    for original in originals:
        flow.forwarding.matching(revision, site, original, partial(headers.header, original.location))


def forward(flow: Flow, session: Session, revision: int, site: Site, arrivals: Arrivals) -> None:
    """Plan originals for every destination that a live rule names, but never for the one they came from."""
    if not _forwards(site):
        return
    planned: dict[tuple[str, str, str, int], list[Sendable]] = {}
    for new in arrivals.new:
        row = new.row
        original = Sendable(row.sop_uid, row.sop_class_uid, row.transfer_syntax_uid, instances.location(row))
        for rule in _matching(flow, revision, site, arrivals, new):
            for name in rule.forward_original_to:
                destination = site.destination(name)
                if destination is not None and destination.ae_title.strip() != row.calling_aet.strip():
                    key = (row.series_uid, name, rule.name, PRIORITIES[rule.priority])
                    planned.setdefault(key, []).append(original)
    now = database_now(session)
    for (series_uid, name, rule_name, priority), originals in sorted(planned.items(), key=lambda entry: entry[0]):
        subject = Subject(series_uid, arrivals.series[series_uid].study_uid)
        plan_delivery(session, name, subject, originals, rule=rule_name, node=flow.node, now=now, priority=priority)


def _forwards(site: Site) -> bool:
    return any(rule.state == "live" and rule.forward_original_to for rule in site.rules)


def _matching(flow: Flow, revision: int, site: Site, arrivals: Arrivals, new: NewInstance) -> tuple[Rule, ...]:
    """None for what a dicomnode derived."""
    row, series = new.row, arrivals.series[new.series_uid]
    if series.derived_by_node or new.derived_by_node:
        return ()
    original = Original(
        instances.location(row), row.sha256, row.transfer_syntax_uid, row.calling_aet, series.called_aet
    )
    return flow.forwarding.matching(revision, site, original, lambda: new.header)


def _new(session: Session, batch: Sequence[Read]) -> Iterator[Original]:
    """What the index will call new, as far as can be told: another node may take it in first, or begin its series."""
    came = [(read.member, read.fields) for read in batch if isinstance(read.member, InstanceMember)]
    known = instances.known(session, [member.receipt.sop_instance_uid for member, _ in came])
    series = series_rows.of(session, list({member.receipt.series_uid for member, _ in came}))
    called: dict[str, str] = {uid: row.called_aet for uid, row in series.items()}
    nothing: tuple[str, Location | None] = ("", None)
    for member, fields in came:
        receipt, row = member.receipt, series.get(member.receipt.series_uid)
        if known.get(receipt.sop_instance_uid, nothing)[1] is not None:
            continue
        known[receipt.sop_instance_uid] = receipt.sha256, member.location
        called_aet = called.setdefault(receipt.series_uid, receipt.called_aet)
        if fields is not None and not fields.derived_by_node and not (row is not None and row.derived_by_node):
            yield Original(
                member.location, receipt.sha256, receipt.transfer_syntax_uid, receipt.calling_aet, called_aet
            )
