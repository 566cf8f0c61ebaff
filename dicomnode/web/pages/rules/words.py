"""The words that the rows of a condition are written with: what they offer for each subject."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.desk.rules.attributes import Word, search_words, word_of
from dicomnode.flow import Flow
from dicomnode.web.pages.rules.form import nodes, subjects

WAYS: Mapping[str, str] = {
    "auto": "automatic",
    "text": "text",
    "number": "number",
    "truth value": "true/false",
    "exact": "JSON",
}


@dataclass(frozen=True)
class Offer:
    """Something to choose: a name or a value, and words that say more of it."""

    name: str
    words: str
    creator: str = ""


class Words:
    """What the template of the rows asks for."""

    groups = nodes.GROUPS
    ways = WAYS

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._seen: dict[tuple[str, str], list[Offer]] = {}

    def operators(self, subject: str, chosen: str) -> list[tuple[str, str]]:
        """(operator, words) that make sense for it."""
        return subjects.fitting(subject, chosen)

    def fact(self, subject: str) -> bool:
        return subjects.is_fact(subject)

    def private(self, subject: str) -> bool:
        return subjects.is_private(subject)

    def values(self, subject: str, creator: str) -> list[Offer]:
        """Frequent values of it here, none that could tell of a patient."""
        key = (subject, creator)
        if key not in self._seen:
            word = word_of(self._flow, subject, creator) if subject else None
            seen = word.values if word else ()
            self._seen[key] = [Offer(value, f"in {_series(count)}") for value, count in seen]
        return self._seen[key]


def search(flow: Flow, text: str) -> list[Offer]:
    """Facts and attributes whose name, title or number holds the text, those seen here first."""
    return [Offer(word.name, _words(word), word.private_creator) for word in search_words(flow, text)]


def _words(word: Word) -> str:
    if word.kind == "fact":
        return f"fact: {word.title}"
    tag = f" ({word.tag[:4]},{word.tag[4:]})".upper() if word.tag else ""
    return f"{word.title}{tag}" + (f", in {_series(word.seen)} here" if word.seen else "")


def _series(count: int) -> str:
    return f"{count} series"
