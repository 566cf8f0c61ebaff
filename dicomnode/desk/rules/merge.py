"""Bringing the draft together with a revision that came in force under it: three ways, by name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import Draft, locked_draft, store
from dicomnode.desk.rules.validation import validated
from dicomnode.domain.site import Destination, Rule, Site
from dicomnode.flow import Flow

Entry = TypeVar("Entry", Rule, Destination)

Prefer = Literal["", "draft", "in force"]
"""Whose rule or destination is taken where both changed it; empty: nobody's, the conflict is told."""


def rebase(flow: Flow, person: Person, version: int, prefer: Prefer = "") -> Draft:
    """Make the revision in force the draft's base, and keep what the draft changed.

    Raises Refused, `conflict`, with a problem for each rule and destination that both changed and `prefer` does not
    settle; and `invalid` where what comes together makes no sense, for instance a rule whose destination is gone.
    """
    with flow.database.write() as session:
        draft = locked_draft(flow, session, version)
        number, theirs = flow.site.get(session)
        if draft.base == number:
            return draft
        merged, conflicts = merge(draft.before, draft.site, theirs, prefer)
        if conflicts:
            raise Refused(
                f"the draft and revision {number} both changed {', '.join(conflicts)}: say whose is to be taken",
                "conflict",
                tuple({"path": name, "message": "changed by both"} for name in conflicts),
            )
        site = validated(flow, merged.to_document(), known=[draft.site, theirs])
        return store(flow, session, person, draft, site, number)


def merge(base: Site, mine: Site, theirs: Site, prefer: Prefer = "") -> tuple[Site, list[str]]:
    """Both sets of changes of `base`, and the names of what both changed otherwise ("rule x", "destination y").

    Order is that of `mine`; what only `theirs` has comes last.
    """
    destinations, first = _merge("destination", base.destinations, mine.destinations, theirs.destinations, prefer)
    rules, second = _merge("rule", base.rules, mine.rules, theirs.rules, prefer)
    if first or second:
        return mine, [*first, *second]
    return Site.model_construct(destinations=tuple(destinations), rules=tuple(rules)), []


def _merge(
    section: str, base: Sequence[Entry], mine: Sequence[Entry], theirs: Sequence[Entry], prefer: Prefer
) -> tuple[list[Entry], list[str]]:
    then: Mapping[str, Entry] = _by_name(base)
    ours: Mapping[str, Entry] = _by_name(mine)
    others: Mapping[str, Entry] = _by_name(theirs)
    kept: list[Entry] = []
    conflicts: list[str] = []
    for name in dict.fromkeys([*ours, *others]):
        was, here, there = then.get(name), ours.get(name), others.get(name)
        if here == there or there == was:
            chosen = here
        elif here == was or prefer == "in force":
            chosen = there
        elif prefer == "draft":
            chosen = here
        else:
            conflicts.append(f"{section} {name}")
            continue
        kept += [chosen] if chosen is not None else []
    return kept, conflicts


def _by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}
