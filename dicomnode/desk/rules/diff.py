"""What differs between two revisions, as an administrator reads it: rule by rule, condition by condition."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dicomnode.desk.rules.conditions import Change, diff_conditions, words_of
from dicomnode.domain.condition import AllOf
from dicomnode.domain.recipe import canonical_json
from dicomnode.domain.site import Destination, Rule, Site

Entry = Rule | Destination

_PLAIN_RULE = Rule(name="plain", state="draft", when=AllOf(all=()))
_PLAIN_DESTINATION = Destination(name="plain", kind="dimse", ae_title="-", host="-", port=1)


@dataclass(frozen=True)
class EntryDiff:
    """What became of one rule or destination. `was`: its former name, where it has another now.

    One that was removed under one name and added under another with nothing else changed counts as renamed.
    """

    section: Literal["rule", "destination"]
    kind: Literal["added", "removed", "renamed", "changed", "moved"]
    name: str
    was: str = ""
    changes: tuple[Change, ...] = ()

    def lines(self) -> list[str]:
        """The first line names it; the others are indented by two spaces."""
        name = f"{self.was} -> {self.name}" if self.was else self.name
        return [f"{self.section} {name}: {self.kind}", *(f"  {change.text}" for change in self.changes)]

    def to_json(self) -> dict[str, Any]:
        changes = [change.to_json() for change in self.changes]
        return {"section": self.section, "kind": self.kind, "name": self.name, "was": self.was, "changes": changes}


@dataclass(frozen=True)
class SiteDiff:
    """All that differs; false when nothing does."""

    destinations: tuple[EntryDiff, ...]
    rules: tuple[EntryDiff, ...]

    def __bool__(self) -> bool:
        return bool(self.destinations or self.rules)

    @property
    def entries(self) -> tuple[EntryDiff, ...]:
        """Destinations, then rules."""
        return self.destinations + self.rules

    def lines(self) -> list[str]:
        """As plain text; nothing when nothing differs."""
        return [line for entry in self.entries for line in entry.lines()]

    def to_json(self) -> dict[str, Any]:
        return {
            "destinations": [entry.to_json() for entry in self.destinations],
            "rules": [entry.to_json() for entry in self.rules],
            "lines": self.lines(),
        }


def diff_sites(before: Site, after: Site) -> SiteDiff:
    """What has to change in `before` to make it `after`."""
    return SiteDiff(
        tuple(_entries("destination", before.destinations, after.destinations)),
        tuple(_entries("rule", before.rules, after.rules)),
    )


def renamed(before: Sequence[Entry], after: Sequence[Entry]) -> dict[str, str]:
    """New name to former name, of entries that differ in nothing else."""
    kept = {each.name for each in before} & {each.name for each in after}
    gone = {_content(each): each.name for each in reversed(before) if each.name not in kept}
    return {each.name: gone.pop(_content(each)) for each in after if each.name not in kept and _content(each) in gone}


def _content(entry: Entry) -> str:
    document = entry.to_document() if isinstance(entry, Rule) else entry.model_dump(exclude_defaults=True)
    return canonical_json({key: value for key, value in document.items() if key != "name"})


def _entries(
    section: Literal["rule", "destination"], before: Sequence[Entry], after: Sequence[Entry]
) -> Iterator[EntryDiff]:
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    names = renamed(before, after)
    for name in old:
        if name not in new and name not in names.values():
            yield EntryDiff(section, "removed", name, changes=tuple(_whole("removed", old[name])))
    moved = _moved([names.get(name, name) for name in new], list(old))
    for name, entry in new.items():
        if name in names:
            yield EntryDiff(section, "renamed", name, names[name])
        elif name not in old:
            yield EntryDiff(section, "added", name, changes=tuple(_whole("added", entry)))
        elif changes := tuple(_changes(old[name], entry)):
            yield EntryDiff(section, "changed", name, changes=changes)
        elif name in moved:
            yield EntryDiff(section, "moved", name)


def _moved(now: Sequence[str], then: Sequence[str]) -> set[str]:
    """Names that left their place among those that are in both: all but a longest run that kept its order."""
    places = [then.index(name) for name in now if name in then]
    best: list[list[int]] = []
    for place in places:
        before = max((run for run in best if run[-1] < place), key=len, default=[])
        best.append([*before, place])
    stayed = max(best, key=len, default=[])
    return {then[place] for place in places if place not in stayed}


def _changes(before: Entry, after: Entry) -> Iterator[Change]:
    """Field by field."""
    old, new = _fields(before), _fields(after)
    for field in [*old, *(field for field in new if field not in old)]:
        if field == "when" and isinstance(before, Rule) and isinstance(after, Rule):
            yield from diff_conditions(before.when, after.when)
        elif old.get(field) != new.get(field):
            yield _change(field, old.get(field, ""), new.get(field, ""))


def _change(field: str, before: str, after: str) -> Change:
    if not before:
        return Change("added", field, "", after)
    return Change("changed" if after else "removed", field, before, after)


def _whole(kind: Literal["added", "removed"], entry: Entry) -> Iterator[Change]:
    """All that an entry says beyond the defaults."""
    usual = _fields(_PLAIN_RULE if isinstance(entry, Rule) else _PLAIN_DESTINATION)
    for field, words in _fields(entry).items():
        if words and (field in ("state", "when") or words != usual.get(field)):
            what = "condition" if field == "when" else field
            before, after = ("", words) if kind == "added" else (words, "")
            yield Change(kind, what, before, after)


def _fields(entry: Entry) -> dict[str, str]:
    """Every field but the name, in words; those of `enhance` and `writer` one by one. Empty: nothing is said."""
    if isinstance(entry, Destination):
        return {key: _words(value) for key, value in entry.model_dump().items() if key != "name"}
    fields = {"state": entry.state, "when": words_of(entry.when)}
    if entry.enhance is not None:
        fields["pipeline"] = entry.enhance.pipeline
        fields |= {f"parameter {key}": _words(value) for key, value in sorted(entry.enhance.params.items())}
    for key in ("deliver_to", "forward_original_to", "priority", "deadline_minutes", "on_overload"):
        fields[key] = _words(getattr(entry, key))
    return fields | {f"writer {key}": _words(value) for key, value in entry.writer.model_dump().items()}


def _words(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(each)}" for key, each in value.items())
    return str(value)
