"""What the audit log quotes of patients, for who may not see it.

Two kinds of event quote something: a search of series has the words that somebody typed, a decision of rules the values
that they saw. Masking is in what is shown and taken away; the log and its chain keep every event as it was sealed. The
hash of an event that is shown masked is the sealed event's: it cannot be computed again from what is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dicomnode.db.models import AuditEvent
from dicomnode.desk.patients import HIDDEN, sees
from dicomnode.desk.person import Person
from dicomnode.desk.rules.hiding import NO_MATCH, shown_outcome

_TYPED = "text"
"""The filter of series lists that takes names."""


@dataclass(frozen=True)
class Shown:
    """What may be read of an event; `masked`: not all of it."""

    message: str
    detail: Mapping[str, Any]
    masked: bool = False


def shown(person: Person, event: AuditEvent) -> Shown:
    """The event as `person` may see it."""
    detail = event.detail
    if sees(person):
        return Shown(event.message, detail)
    filters, outcomes = detail.get("filters"), detail.get("outcomes")
    if isinstance(filters, Mapping) and filters.get(_TYPED):
        return Shown(event.message, {**detail, "filters": {**filters, _TYPED: HIDDEN}}, masked=True)
    if isinstance(outcomes, Mapping) and any(str(each).startswith(NO_MATCH) for each in outcomes.values()):
        kept = {rule: shown_outcome(person, str(outcome)) for rule, outcome in outcomes.items()}
        message = "; ".join(f"{rule}: {outcome}" for rule, outcome in kept.items())
        return Shown(message, {**detail, "outcomes": kept}, masked=True)
    return Shown(event.message, detail)
