"""The words that the rows of a condition are written with: what they offer for each subject."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.desk.person import Person
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.flow import Flow
from dicomnode.web.pages.rules.form import nodes, subjects

WAYS: Mapping[str, str] = {
    "auto": "usual",
    "text": "text",
    "number": "number",
    "truth value": "true/false",
    "exact": "JSON",
}


@dataclass(frozen=True)
class Offer:
    """Something to choose: a name, or a value, and words that say more of it."""

    name: str
    words: str

    @property
    def value(self) -> str:
        return self.name


class Words:
    """What the template of the rows asks for."""

    groups = nodes.GROUPS
    ways = WAYS

    def __init__(self, flow: Flow, person: Person) -> None:
        self._flow, self._person = flow, person
        self._seen: dict[str, list[Offer]] = {}

    def operators(self, subject: str, chosen: str) -> list[tuple[str, str]]:
        """(operator, words) that make sense for it."""
        return subjects.fitting(subject, chosen)

    def fact(self, subject: str) -> bool:
        return subjects.is_fact(subject)

    def private(self, subject: str) -> bool:
        return subjects.is_private(subject)

    def values(self, subject: str) -> list[Offer]:
        """Frequent values of it here; nothing that could tell of a patient."""
        return []


def search(flow: Flow, text: str) -> list[Offer]:
    """Facts and attributes whose name or number holds the text, those seen here first."""
    folded = text.casefold()
    return [Offer(name, fact.description) for name, fact in COMPUTED_FACTS.items() if folded in name]
