"""What explanations and replays quote of a series, for who may see whose it is and for who may not.

Whatever shows it, a page or a program, asks here: what is shown is an event of the audit log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dicomnode.db.models import Replay, ReplayChange
from dicomnode.db.repositories import replays
from dicomnode.desk.patients import HIDDEN, masked, sees, viewed
from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import site_of
from dicomnode.desk.rules.explain import Explained, Said
from dicomnode.desk.rules.hiding import asks_of_patient, shown_outcome, shown_to
from dicomnode.domain.site import Site
from dicomnode.flow import Flow

Filters = Mapping[str, Any]


def told_changes(
    flow: Flow, person: Person, replay: Replay, rows: Sequence[ReplayChange], filters: Filters
) -> list[dict[str, Any]]:
    """Changes that this replay found, as documents. `filters`: which of them were asked for, the place in the list
    included. What a rule saw of a patient is hidden unless the person sees it, and a look at it is recorded.
    """
    with flow.database.read() as session:
        sites = site_of(session, replay.base), Site.model_validate(replay.document)
        known = {} if sees(person) else replays.patients_of(session, {row.series_uid for row in rows})
    personal = {rule.name for site in sites for rule in site.rules if asks_of_patient(rule.when)}
    if sees(person) and any(row.rule in personal for row in rows):
        viewed(flow, person, f"the series of replay {replay.id}", filters=filters, shown=len(rows))
    return [_change(person, row, row.rule in personal, known.get(row.series_uid, ())) for row in rows]


def _change(person: Person, row: ReplayChange, personal: bool, known: Sequence[str]) -> dict[str, Any]:
    columns = ("id", "series_uid", "generation", "rule", "kind")
    sides = {"before": row.before, "after": row.after}
    if personal:
        sides = {name: _without_values(person, side) for name, side in sides.items()}
    return {
        **{name: getattr(row, name) for name in columns},
        **{name: _hidden(person, side, known) for name, side in sides.items()},
    }


def _without_values(person: Person, side: Mapping[str, Any]) -> dict[str, Any]:
    return {**side, "outcome": shown_outcome(person, str(side.get("outcome", "")))}


def shown_explanation(flow: Flow, person: Person, explained: Explained) -> Explained:
    """An explanation as this person may read it; a look at what tells of patients is recorded."""
    if not sees(person):
        return replace(explained, rules=tuple(_shown(person, said) for said in explained.rules))
    if any(asks_of_patient(said.answer.rule.when) for said in explained.rules):
        viewed(flow, person, "the explanation of a series", series_uid=explained.series_uid)
    return explained


def _shown(person: Person, said: Said) -> Said:
    condition = said.answer.explanation.to_json()
    decided, forwards = (shown_outcome(person, words, condition) for words in (said.decided, said.forwards))
    return replace(said, answer=shown_to(person, said.answer), decided=decided, forwards=forwards)


def told_explanation(flow: Flow, person: Person, explained: Explained) -> dict[str, Any]:
    """The same as a document."""
    document = shown_explanation(flow, person, explained).to_json()
    if sees(person):
        return document
    with flow.database.read() as session:
        known = replays.patients_of(session, {explained.series_uid}).get(explained.series_uid, ())
    hidden: dict[str, Any] = _hidden(person, document, known)
    return hidden


def _hidden(person: Person, value: Any, known: Sequence[str]) -> Any:
    """In every text of a nested document."""
    if isinstance(value, str):
        return HIDDEN if value and value in known and not sees(person) else masked(person, value, *known)
    if isinstance(value, Mapping):
        return {name: _hidden(person, each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [_hidden(person, each, known) for each in value]
    return value
