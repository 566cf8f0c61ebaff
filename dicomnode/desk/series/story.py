"""What happened to one series, in the order of time, with the evidence of every step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent, Delivery, RuleDecision, Series, Study
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import (
    deliveries,
    delivery_list,
    holds,
    instances,
    outdatings,
    series_status,
    series_story,
)
from dicomnode.db.repositories import site as site_rows
from dicomnode.db.repositories.series_story import Arrived, Made
from dicomnode.desk import patients
from dicomnode.desk.destinations.health import healths
from dicomnode.desk.person import Person
from dicomnode.desk.queue import send_waits_for
from dicomnode.desk.rules.hiding import shown_outcome
from dicomnode.desk.series.document import EVENTS, LOOKS, became
from dicomnode.desk.series.finding import find
from dicomnode.desk.series.results import worded
from dicomnode.domain.rejection import TITLES
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.asked import BY_HAND, objection
from dicomnode.jobs.waiting import waits_for

ARRIVALS = 20
"""Associations that are told one by one; a sender that opens one for each instance is told of in one line."""

_TOLD = ("series.complete", "rule.decided", "enhancement.created", "delivery.created")
"""Kinds of events that the story tells of in full, by the rows that they were written with."""


@dataclass(frozen=True)
class Entry:
    """One step. `kind`: arrival, arrivals, completion, decisions, asked, job, delivery, version or event; it says which
    `about` there is. `events` tell how the step went on.
    """

    at: datetime
    kind: str
    about: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Story:
    """A series' facts and its steps. `objection`: why no pipeline may run on it by hand now, empty when one may."""

    facts: Mapping[str, Any]
    entries: Sequence[Entry] = field(default_factory=list)
    is_cut: bool = False
    objection: str = ""


def story(flow: Flow, person: Person, uid: str) -> Story:
    """The story, with names and identifiers masked unless the person sees them. Raises Refused."""
    with flow.database.read() as session:
        series = find(session, uid)
        study = session.get_one(Study, series.study_uid)
        events = audit_rows.listing(session, limit=EVENTS, series_uid=uid)
        told = _Told(flow, person, study, events)
        entries = sorted(told.entries(session, series), key=lambda entry: entry.at)
        found = Story(
            _facts(session, person, series, study), entries, len(events) == EVENTS, objection(flow, session, series)
        )
    if patients.sees(person):
        patients.viewed(flow, person, "the story of a series", study_uid=study.uid, series_uid=uid)
    return found


class _Told:
    """The entries of one story; events go to the step that they tell of, and what is left stands alone."""

    def __init__(self, flow: Flow, person: Person, study: Study, events: Sequence[AuditEvent]) -> None:
        self._flow, self._person, self._study = flow, person, study
        self._left = [event for event in events if event.kind not in _TOLD and not event.kind.startswith(LOOKS)]

    def entries(self, session: Session, series: Series) -> Iterator[Entry]:
        made = series_story.made(session, series.uid)
        yield from _arrived(session, series, series_story.arrivals(session, series.uid, ARRIVALS + 1))
        for generation in series_story.generations(session, series.uid):
            yield Entry(generation.completed_at, "completion", generation._asdict())
        yield from self._decided(site_rows.decisions(session, series.uid), made)
        yield from self._jobs(session, made)
        yield from self._deliveries(session, deliveries.of_series(session, series.uid))
        for version in instances.versions(session, series.uid):
            columns = ("sop_uid", "kind", "differences", "settled_at", "association")
            about = {name: getattr(version, name) for name in columns}
            yield Entry(version.received_at, "version", about, self._of(f"instance:{version.sop_uid}"))
        for event in self._left:
            yield Entry(event.at, "event", self._event(event))

    def _jobs(self, session: Session, made: Sequence[Made]) -> Iterator[Entry]:
        held, now = holds.listing(session), database_now(session)
        for each in made:
            waits = waits_for(each.work, held, self._flow.settings.engine.off_peak_hours, now)
            about = {**_job(each), "waits_for": waits}
            yield Entry(each.work.created_at, "job", about, self._of(f"enhancement:{each.work.id}"))

    def _deliveries(self, session: Session, rows: Sequence[Delivery]) -> Iterator[Entry]:
        counts = delivery_list.instances(session, [row.id for row in rows])
        fare = healths(session, self._flow.site.get(session)[1].destinations)
        for row in rows:
            about = {**_delivery(row, counts[row.id]), "waits_for": send_waits_for(row, fare)}
            yield Entry(row.created_at, "delivery", about, self._of(f"delivery:{row.id}"))

    def _of(self, subject: str) -> Sequence[Mapping[str, Any]]:
        mine = [event for event in self._left if event.subject == subject]
        self._left = [event for event in self._left if event.subject != subject]
        return [self._event(event) for event in mine]

    def _event(self, event: AuditEvent) -> dict[str, Any]:
        columns = ("id", "at", "kind", "outcome", "actor")
        return {**{name: getattr(event, name) for name in columns}, "message": self._masked(event.message)}

    def _decided(self, rows: Sequence[RuleDecision], made: Sequence[Made]) -> Iterator[Entry]:
        """What the rules said of a generation is one step; each thing that was asked for by hand is another."""
        work = [each.work for each in made]
        by_rules = [row for row in rows if not row.rule.startswith(f"{BY_HAND}: ")]
        for generation, group in groupby(by_rules, key=lambda row: row.generation):
            answers = list(group)
            about = {"generation": generation, "revision": answers[0].revision}
            answered = [self._answer(row, became(row, work)) for row in answers]
            yield Entry(max(row.decided_at for row in answers), "decisions", {**about, "rules": answered})
        for row in rows:
            if row.rule.startswith(f"{BY_HAND}: "):
                about = {"generation": row.generation, "revision": row.revision, "by": row.explanation.get("by", "")}
                yield Entry(row.decided_at, "asked", {**about, **self._answer(row, became(row, work))})

    def _answer(self, row: RuleDecision, outcome: str) -> dict[str, Any]:
        columns = ("rule", "rule_state", "matched", "deliver_to")
        about = {name: getattr(row, name) for name in columns}
        said = self._masked(shown_outcome(self._person, row.outcome, row.explanation.get("condition")))
        return {**about, "outcome": said, "became": outcome, "job": row.enhancement_id}

    def _masked(self, text: str) -> str:
        return patients.masked(
            self._person, text, self._study.patient_name, self._study.patient_id, self._study.accession_number
        )


def _facts(session: Session, person: Person, series: Series, study: Study) -> dict[str, Any]:
    columns = (
        "uid", "study_uid", "modality", "series_number", "description", "state", "generation", "calling_aet",
        "called_aet", "last_arrival_at", "completed_at", "due_at", "due_reason", "derived_by_node", "kept_by",
        "kept_for", "purged_at",
    )  # fmt: skip
    gone = instances.gone(session, series.uid)
    rejected = outdatings.rejected(session, series.uid)
    return {
        "patient_name": patients.shown_id(person, study.patient_name),
        "patient_id": patients.shown_id(person, study.patient_id),
        "accession_number": patients.shown_id(person, study.accession_number),
        "study_date": patients.shown_id(person, study.study_date),
        "study_description": study.description,
        **{name: getattr(series, name) for name in columns},
        "status": series_status.of(session, [series.uid])[series.uid],
        "stored": instances.count(session, series.uid),
        "gone": gone,
        "open_conflicts": series_story.open_conflicts(session, series.uid),
        "rejected": {TITLES.get(code, code): count for code, count in rejected.items()},
    }


def _arrived(session: Session, series: Series, rows: Sequence[Arrived]) -> Iterator[Entry]:
    if len(rows) > ARRIVALS:
        count, first, last, associations = series_story.arrival(session, series.uid)
        about = {"associations": associations, "instances": count, "last_at": last}
        yield Entry(first, "arrivals", {**about, "calling_aet": series.calling_aet})
        return
    for row in rows:
        noted = row.row
        yield Entry(
            row.first_at,
            "arrival",
            {
                "association": row.association,
                "calling_aet": row.calling_aet,
                "instances": row.instances,
                "last_at": row.last_at,
                "peer": noted.peer if noted else "",
                "opened_at": noted.opened_at if noted else None,
                "closed_at": noted.closed_at if noted else None,
                "outcome": noted.outcome if noted else "",
            },
        )


def _job(made: Made) -> dict[str, Any]:
    row = made.work
    columns = (
        "id", "generation", "pipeline", "version", "weights_sha256", "params", "state", "priority", "attempt",
        "worker", "deadline_at", "verdict", "reason", "figures", "measured", "rerouted_to", "started_at", "finished_at",
    )  # fmt: skip
    outdated = made.outdated
    return {
        **{name: getattr(row, name) for name in columns},
        "params_worded": ", ".join(worded(row.params)),
        "derived_series_uid": made.derived_uid,
        "outputs": made.outputs,
        "outputs_purged": made.purged,
        "outdated": {
            "since": outdated.outdated_at,
            "reason": outdated.reason,
            "title": TITLES.get(outdated.code, outdated.code),
            "rejection_note": outdated.note_uid,
        }
        if outdated
        else None,
    }


def _delivery(row: Delivery, counts: Mapping[str, int]) -> dict[str, Any]:
    columns = (
        "id", "destination", "subject", "enhancement_id", "rule", "state", "attempts", "reason", "confirmation",
        "confirm_at", "not_before", "finished_at",
    )  # fmt: skip
    return {**{name: getattr(row, name) for name in columns}, "instances": dict(counts)}
