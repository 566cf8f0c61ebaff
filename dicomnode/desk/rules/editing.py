"""Changing one rule or destination of the draft. Each names the version that was read, and is validated as a whole."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.draft import Draft, locked_draft, read_draft, store
from dicomnode.desk.rules.reach import check_hosts
from dicomnode.desk.rules.validation import validated
from dicomnode.flow import Flow

Section = Literal["rules", "destinations"]
Document = dict[str, Any]


def put_rule(
    flow: Flow, person: Person, rule: Mapping[str, Any], version: int, *, name: str = "", place: int | None = None
) -> Draft:
    """Put a rule (a plain document) in the place of the one called `name`; without a name, add it.

    An added rule comes last, or at `place` (from 0). Raises Refused: `invalid`, with problems whose paths are relative
    to this rule; `missing` where the draft has no rule `name`; `conflict` for another version.
    """
    return _put(flow, person, "rules", rule, version, name, place)


def preview_rule(flow: Flow, rule: Mapping[str, Any], *, name: str = "") -> SiteDiff:
    """What `put_rule` would change of the draft as it is now. Raises Refused likewise."""
    draft = read_draft(flow)
    document = draft.document()
    below = _enter(document, "rules", rule, name, None)
    return diff_sites(draft.site, validated(flow, document, below, draft.known))


def remove_rule(flow: Flow, person: Person, name: str, version: int) -> Draft:
    """Take a rule out of the draft. Raises Refused as `put_rule`."""

    def change(document: Document) -> str:
        document["rules"].pop(_place(document, "rules", name))
        return ""

    return _edit(flow, person, version, change)


def restore_rule(flow: Flow, person: Person, name: str, version: int) -> Draft:
    """Have a rule in the draft as it was in the revision that the draft began from, also where it was taken out.

    Raises Refused as `put_rule`; `missing` where that revision has no such rule.
    """
    former = [rule.to_document() for rule in read_draft(flow).before.rules]
    place = next((place for place, rule in enumerate(former) if rule["name"] == name), None)
    if place is None:
        raise Refused(f"the draft began without a rule {name}", "missing")

    def change(document: Document) -> str:
        rules = document["rules"]
        at = next((at for at, rule in enumerate(rules) if rule["name"] == name), None)
        rules[slice(place, place) if at is None else slice(at, at + 1)] = [former[place]]
        return ""

    return _edit(flow, person, version, change)


def move_rule(flow: Flow, person: Person, name: str, place: int, version: int) -> Draft:
    """Put a rule at another place (from 0; beyond the end: last). Order is for readers: every matching rule acts."""

    def change(document: Document) -> str:
        rule = document["rules"].pop(_place(document, "rules", name))
        document["rules"].insert(max(place, 0), rule)
        return ""

    return _edit(flow, person, version, change)


def put_destination(
    flow: Flow, person: Person, destination: Mapping[str, Any], version: int, *, name: str = ""
) -> Draft:
    """Put a destination in the place of the one called `name`; without a name, add it.

    Rules that named it by its former name name it by the new one. Raises Refused as `put_rule`, and for a host that
    the browser may not lead the node to.
    """
    draft = read_draft(flow)
    check_hosts(flow, person, [destination.get("host")], [draft.site, draft.before])
    return _put(flow, person, "destinations", destination, version, name, None)


def remove_destination(flow: Flow, person: Person, name: str, version: int) -> Draft:
    """Take a destination out of the draft. Raises Refused, `conflict` where rules of the draft still name it."""

    def change(document: Document) -> str:
        document["destinations"].pop(_place(document, "destinations", name))
        users = [rule["name"] for rule in document["rules"] if any(name in rule.get(field, ()) for field in _NAMING)]
        if users:
            raise Refused(f"destination {name} is named by {', '.join(users)}: change these rules first", "conflict")
        return ""

    return _edit(flow, person, version, change)


_NAMING = ("deliver_to", "forward_original_to")


def _put(
    flow: Flow,
    person: Person,
    section: Section,
    entry: Mapping[str, Any],
    version: int,
    name: str,
    place: int | None,
) -> Draft:
    return _edit(flow, person, version, lambda document: _enter(document, section, entry, name, place))


def _enter(document: Document, section: Section, entry: Mapping[str, Any], name: str, place: int | None) -> str:
    """Returns where it stands now."""
    entries = document[section]
    if name:
        at = _place(document, section, name)
        entries[at] = dict(entry)
    else:
        at = len(entries) if place is None else min(max(place, 0), len(entries))
        entries.insert(at, dict(entry))
    if section == "destinations" and name:
        _follow_name(document, name, entry.get("name"))
    return f"{section}[{at}]"


def _follow_name(document: Document, former: str, name: object) -> None:
    for rule in document["rules"]:
        for field in _NAMING:
            if former in rule.get(field, ()):
                rule[field] = [name if each == former else each for each in rule[field]]


def _edit(flow: Flow, person: Person, version: int, change: Callable[[Document], str]) -> Draft:
    """`change` alters the plain document and says below which path its findings lie."""
    with flow.database.write() as session:
        draft = locked_draft(flow, session, version)
        document = draft.document()
        below = change(document)
        return store(flow, session, person, draft, validated(flow, document, below, draft.known))


def _place(document: Document, section: Section, name: str) -> int:
    for place, entry in enumerate(document[section]):
        if entry["name"] == name:
            return place
    raise Refused(f"the draft has no {section.removesuffix('s')} {name}", "missing")
