"""Everything known of a series as one document: what `series show --json` prints."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from dicomnode.db.models import Delivery, DerivedSeriesRow, Enhancement, Outdating, RuleDecision, Series, Study
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import deliveries, enhancements, instances, outdatings
from dicomnode.db.repositories import series as series_rows
from dicomnode.db.repositories import site as site_rows
from dicomnode.desk import patients
from dicomnode.desk.person import Person
from dicomnode.desk.series.finding import find
from dicomnode.domain.rejection import TITLES
from dicomnode.flow import Flow

EVENTS = 500
"""Of the newest; whoever is told of fewer is told so."""

LOOKS = ("patient.", "image.")
"""Who looked at a series is no part of its story: it stands in the audit log."""


def document(flow: Flow, person: Person, uid: str) -> dict[str, Any]:
    """For whoever sees everything: names and identifiers stand in it. Records the look. Raises Refused."""
    found = _document(flow, uid)
    patients.viewed(flow, person, "the story of a series", study_uid=found["study_uid"], series_uid=uid)
    return found


def _document(flow: Flow, uid: str) -> dict[str, Any]:
    with flow.database.read() as session:
        series = find(session, uid)
        study = session.get_one(Study, series.study_uid)
        facts = series_rows.facts(session, uid)
        work = enhancements.of_series(session, uid)
        gone = instances.gone(session, uid)
        named = {row.id: enhancements.derived_series(session, row.id) for row in work}
        return {
            **_head(series, study, instances.count(session, uid) + sum(gone.values())),
            **{why: gone.get(why, 0) for why in ("purged", "missing", "damaged")},
            "kept_by": series.kept_by,
            "kept_for": series.kept_for,
            "due_at": series.due_at,
            "completed_at": series.completed_at,
            "reason": facts.reason if facts else series.due_reason,
            "derived_by_node": series.derived_by_node,
            "decisions": [_decision(row, work) for row in site_rows.decisions(session, uid)],
            "enhancements": [_enhancement(session, row, named[row.id]) for row in work],
            "outdated": [_outdated(row, named[row.enhancement_id]) for row in outdatings.of_series(session, uid)],
            "rejected": [
                {"title": TITLES[code], "instances": count} for code, count in outdatings.rejected(session, uid).items()
            ],
            "deliveries": [_delivery(session, row) for row in deliveries.of_series(session, uid)],
            "versions": [
                {
                    "sop_uid": row.sop_uid,
                    "kind": row.kind,
                    "settled_at": row.settled_at,
                    "received_at": row.received_at,
                    "differences": row.differences,
                }
                for row in instances.versions(session, uid)
            ],
            "story": [
                {"at": row.at, "kind": row.kind, "outcome": row.outcome, "message": row.message}
                for row in audit_rows.listing(session, limit=EVENTS, series_uid=uid)
                if not row.kind.startswith(LOOKS)
            ],
        }


def became(decision: RuleDecision, work: Sequence[Enhancement]) -> str:
    """What came of a rule's answer until now."""
    for row in work:
        if row.id == decision.enhancement_id:
            says_it = row.reason.startswith(f"{row.state}:")
            return row.reason if says_it else f"{row.state}: {row.reason}" if row.reason else row.state
    return "originals only" if decision.matched else ""


def _head(series: Series, study: Study, count: int) -> dict[str, Any]:
    return {
        "uid": series.uid,
        "study_uid": series.study_uid,
        "patient_id": study.patient_id,
        "patient_name": study.patient_name,
        "accession_number": study.accession_number,
        "modality": series.modality,
        "description": series.description,
        "instances": count,
        "state": series.state,
        "generation": series.generation,
        "calling_aet": series.calling_aet,
        "last_arrival_at": series.last_arrival_at,
        "purged_at": series.purged_at,
    }


def _decision(row: RuleDecision, work: Sequence[Enhancement]) -> dict[str, Any]:
    columns = ("generation", "revision", "rule", "matched", "outcome")
    return {**{name: getattr(row, name) for name in columns}, "became": became(row, work)}


def _enhancement(session: Session, row: Enhancement, derived: DerivedSeriesRow | None) -> dict[str, Any]:
    outputs = enhancements.outputs(session, row.id)
    return {
        **{name: getattr(row, name) for name in ("id", "pipeline", "version", "state", "verdict", "reason")},
        "derived_series_uid": derived.uid if derived else None,
        "outputs": len(outputs),
        "outputs_purged": sum(output.gone == "purged" for output in outputs),
    }


def _outdated(row: Outdating, derived: DerivedSeriesRow | None) -> dict[str, Any]:
    return {
        "enhancement": row.enhancement_id,
        "derived_series_uid": derived.uid if derived else None,
        "since": row.outdated_at,
        "reason": row.reason,
        "title": TITLES[row.code],
        "rejection_note": row.note_uid or None,
    }


def _delivery(session: Session, row: Delivery) -> dict[str, Any]:
    return {
        **{name: getattr(row, name) for name in ("id", "destination", "subject", "state")},
        "instances": deliveries.counts(session, row.id),
        "reason": row.reason,
        "confirmation": row.confirmation,
    }
