"""Which originals two documents forward: decided on each instance as it comes, told of series by their kept facts.

Facts are of a whole series, so for one whose instances differ in several things that a rule asks, it may be told only
that some of them go. That is `unclear`, and never taken for the one or the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from dicomnode.desk.rules.diff import renamed
from dicomnode.desk.rules.replaying.past import Past, condition_text
from dicomnode.desk.rules.replaying.tally import Tally
from dicomnode.domain.condition import AnyOf, AttributeCondition, Not
from dicomnode.domain.provenance import MARKS
from dicomnode.domain.site import Rule, Site
from dicomnode.route.bounds import Bounds, Instances, counter
from dicomnode.route.rules import explain_rule

Verdict = Literal["", "more", "fewer", "elsewhere", "unclear"]
"""What becomes of a series' originals: nothing else, more or fewer of them go, to some more and to others fewer."""

_not_ours = counter(
    Not.model_validate(
        {"not": AnyOf(any=tuple(AttributeCondition(attribute=name, equals=value) for name, value in MARKS.items()))}
    )
)
_NONE = Bounds(0, 0)

Sides = tuple[dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class ForwardingChange:
    """One rule forwards other originals of a series. `said` puts both sides in words."""

    rule: str
    kind: Verdict
    said: Callable[[], Sides]


class Forwarder:
    """A rule of one site, as far as it forwards: to which destinations, and which AE title each has."""

    def __init__(self, rule: Rule, site: Site) -> None:
        self.rule, self._condition, self._count = rule, condition_text(rule.when), counter(rule.when)
        names = rule.forward_original_to if rule.state == "live" else ()
        self.destinations = {name: found.ae_title.strip() for name in names if (found := site.destination(name))}

    def alike(self, other: "Forwarder", destination: str) -> bool:
        """Whether no series can tell them apart, there."""
        mine, yours = self.destinations.get(destination), other.destinations.get(destination)
        return mine == yours and (mine is None or self.rule.when == other.rule.when)

    def reach(self, past: Past, destination: str) -> Bounds:
        """How many instances of the series it forwards there, as `flow.completing.arrival` decides."""
        home = self.destinations.get(destination)
        if home is None or past.circumstances.derived_by_node:
            return _NONE
        return past.count((self._condition, home), lambda instances: self._sent(past, instances, home))

    def matching(self, past: Past) -> Bounds:
        """How many instances fulfil its condition."""
        return past.count(self._condition, self._count)

    def _sent(self, past: Past, instances: Instances, home: str) -> Bounds:
        """Never back to where it came from, and never what a dicomnode derived."""
        elsewhere = [title for title in instances.receipts("calling_aet") if title != home]
        away = instances.with_receipt("calling_aet", elsewhere)
        return instances.all_of([self.matching(past), past.count(_not_ours, _not_ours), away])

    def said(self, past: Past) -> dict[str, Any]:
        """As a document, with the words of a decision."""
        reached = {name: self.reach(past, name) for name in self.destinations}
        going = [name for name, bounds in reached.items() if bounds.high]
        told: dict[str, Any] = {"state": self.rule.state, "acts": bool(going), "pipeline": "", "deliver_to": []}
        return {**told, "forwards_to": going, "outcome": self._outcome(past, reached)}

    def _outcome(self, past: Past, reached: Mapping[str, Bounds]) -> str:
        if not self.destinations:
            return "forwards nothing" + ("" if self.rule.state == "live" else f": it is a {self.rule.state}")
        if not self.matching(past).high:
            answer = explain_rule(self.rule, past.facts)
            return "does not match: " + (answer.reason if not answer.matched else "no instance fulfils all of it")
        total = past.instances.total
        return "; ".join(f"forwards {_words(bounds, total)} to {name}" for name, bounds in reached.items())


@dataclass(frozen=True)
class _Pair:
    """A rule as it was and as it would be, and the destinations where that makes a difference."""

    name: str
    before: Forwarder | None
    after: Forwarder | None
    destinations: Sequence[str]


class Forwarding:
    """The forwarding of two sites. Rules that forward alike cost nothing."""

    def __init__(self, before: Site, after: Site) -> None:
        old, new = ([Forwarder(rule, site) for rule in site.rules] for site in (before, after))
        self._sides = old, new
        names, was = renamed(before.rules, after.rules), {each.rule.name: each for each in old}
        paired = [(each.rule.name, was.pop(names.get(each.rule.name, each.rule.name), None), each) for each in new]
        pairs = (_pair(*pair) for pair in (*paired, *((name, each, None) for name, each in was.items())))
        self._pairs = [pair for pair in pairs if pair.destinations]

    def look(self, past: Past, into: Tally) -> list[ForwardingChange]:
        """What both say of the originals of a series; counted by destination and by rule. Returns what differs.

        What one rule gives up and another takes over is no difference: the same originals arrive.
        """
        compared = [(pair, _by_destination(past, pair)) for pair in self._pairs]
        differing = dict.fromkeys(name for _, each in compared for name, verdict in each.items() if verdict)
        arriving = {name for name in differing if self._at(past, name, into)}
        found: list[ForwardingChange] = []
        for pair, each in compared:
            kind = _together(verdict for name, verdict in each.items() if name in arriving)
            figures = into["forwarding_rules"][pair.name]
            figures["series_before"] += _forwards(past, pair.before)
            figures["series"] += _forwards(past, pair.after)
            if kind:
                figures[kind] += 1
                found.append(ForwardingChange(pair.name, kind, partial(_said, past, pair)))
        return found

    def _at(self, past: Past, destination: str, into: Tally) -> Verdict:
        """What arrives at a destination, whichever rules send it there."""
        before, after = (
            past.instances.any_of(each.reach(past, destination) for each in side if destination in each.destinations)
            for side in self._sides
        )
        verdict = _compared(past, before, after)
        if verdict:
            into["forwarding"][destination][verdict] += 1
        return verdict


def _pair(name: str, before: Forwarder | None, after: Forwarder | None) -> _Pair:
    either = dict.fromkeys(name for side in (before, after) if side is not None for name in side.destinations)
    same = [each for each in either if before is not None and after is not None and before.alike(after, each)]
    return _Pair(name, before, after, [each for each in either if each not in same])


def _by_destination(past: Past, pair: _Pair) -> dict[str, Verdict]:
    return {name: _compared(past, _reach(past, pair.before, name), _reach(past, pair.after, name))
            for name in pair.destinations}  # fmt: skip


def _reach(past: Past, side: Forwarder | None, destination: str) -> Bounds:
    return side.reach(past, destination) if side is not None else _NONE


def _compared(past: Past, before: Bounds, after: Bounds) -> Verdict:
    if before.high < after.low:
        return "more"
    if after.high < before.low:
        return "fewer"
    alike = before == after and before.exact and before.low in (0, past.instances.total)
    return "" if alike else "unclear"


def _together(verdicts: Iterable[Verdict]) -> Verdict:
    kinds = {verdict for verdict in verdicts if verdict}
    if "unclear" in kinds:
        return "unclear"
    return "elsewhere" if len(kinds) > 1 else next(iter(kinds), "")


def _forwards(past: Past, side: Forwarder | None) -> bool:
    """Whether some of its instances go somewhere, for certain."""
    return side is not None and any(side.reach(past, name).low for name in side.destinations)


def _said(past: Past, pair: _Pair) -> Sides:
    before, after = (_side(past, side) for side in (pair.before, pair.after))
    return before, after


def _side(past: Past, side: Forwarder | None) -> dict[str, Any]:
    if side is None:
        return {"state": "", "acts": False, "outcome": "there is no such rule", "pipeline": "", "deliver_to": []}
    return side.said(past)


def _words(bounds: Bounds, total: int) -> str:
    if bounds.exact:
        return f"{'none' if not bounds.low else f'{bounds.low}'} of {total} instances"
    return f"between {bounds.low} and {bounds.high} of {total} instances"
