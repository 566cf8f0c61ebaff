"""What explanations and replays quote of a series, for who may not see whose it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import tag_for_keyword

from dicomnode.db.models import ReplayChange
from dicomnode.db.repositories import replays
from dicomnode.desk.patients import HIDDEN, masked, sees
from dicomnode.desk.person import Person
from dicomnode.desk.rules.explain import Explained
from dicomnode.flow import Flow

_PATIENT_GROUP = 0x0010


def told_changes(flow: Flow, person: Person, rows: Sequence[ReplayChange]) -> list[dict[str, Any]]:
    """Changes of a replay as documents; what is known of a patient is hidden unless the person sees it."""
    with flow.database.read() as session:
        patients = {} if sees(person) else replays.patients_of(session, {row.series_uid for row in rows})
    return [
        {
            "id": row.id,
            "series_uid": row.series_uid,
            "generation": row.generation,
            "rule": row.rule,
            "kind": row.kind,
            "before": _hidden(person, row.before, patients.get(row.series_uid, ())),
            "after": _hidden(person, row.after, patients.get(row.series_uid, ())),
        }
        for row in rows
    ]


def told_explanation(flow: Flow, person: Person, explained: Explained) -> dict[str, Any]:
    """An explanation as a document; values of patients' attributes are hidden unless the person sees them."""
    document = explained.to_json()
    if sees(person):
        return document
    with flow.database.read() as session:
        known = replays.patients_of(session, {explained.series_uid}).get(explained.series_uid, ())
    values = {value for said in explained.rules for value in _patients_values(said.answer.explanation.to_json())}
    hidden: dict[str, Any] = _hidden(person, document, (*known, *values))
    return hidden


def _patients_values(condition: Mapping[str, Any]) -> set[str]:
    """What tests on elements of the patient saw."""
    found = {value for child in condition.get("children", ()) for value in _patients_values(child)}
    tag = tag_for_keyword(str(condition.get("subject", "")).rsplit(".", 1)[-1])
    if tag is not None and tag >> 16 == _PATIENT_GROUP:
        found |= {str(part) for seen in condition["seen"] for part in seen["value"]}
    return found


def _hidden(person: Person, value: Any, known: Sequence[str]) -> Any:
    """In every text of a nested document."""
    if isinstance(value, str):
        return HIDDEN if value and value in known else masked(person, value, *known)
    if isinstance(value, Mapping):
        return {name: _hidden(person, each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(person, each, known) for each in value]
    return value
