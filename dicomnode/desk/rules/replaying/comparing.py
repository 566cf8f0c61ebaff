"""Two documents held against each other, one series at a time: what would have been done, and what was."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dicomnode.desk.rules.diff import renamed
from dicomnode.desk.rules.replaying.forwarding import Forwarding, ForwardingChange, Sides, Verdict
from dicomnode.desk.rules.replaying.past import Past, ReadyRule, ready_rules
from dicomnode.desk.rules.replaying.tally import Tally, count_reason
from dicomnode.domain.recipe import canonical_json
from dicomnode.domain.site import Rule, Site
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Registry
from dicomnode.flow.completing.deciding import Decided

Kind = Literal["", "gains", "loses", "other", "shadow"]
"""What a rule's change is to a series: an enhancement more or less, another one or elsewhere, or measured alone."""


@dataclass(frozen=True)
class Change:
    """One rule treats one series otherwise: what it said before, and by the document.

    `kind` is that of an enhancement, or of what is forwarded (`forwarding.Verdict`).
    """

    series_uid: str
    generation: int
    rule: str
    kind: Kind | Verdict
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return vars(self) | {"before": dict(self.before), "after": dict(self.after)}


@dataclass(frozen=True)
class _Pair:
    """A rule as it was and as it would be. `same`: no series can tell one from the other."""

    name: str
    before: ReadyRule | None
    after: ReadyRule | None
    same: bool
    same_work: bool


@dataclass(frozen=True)
class EnhancingChange:
    """One rule enhances a series otherwise. `said` puts both sides in words."""

    rule: str
    kind: Kind
    before: Decided | None
    after: Decided | None

    def said(self) -> Sides:
        return _said(self.before), _said(self.after)


Difference = EnhancingChange | ForwardingChange


class Comparison:
    """The rules of two sites in pairs, by name; one that merely has another name is the same rule."""

    def __init__(self, before: Site, after: Site, registry: Registry) -> None:
        self._registry = registry
        names = renamed(before.rules, after.rules)
        old, new = ({each.rule.name: each for each in ready_rules(site)} for site in (before, after))
        paired = [(name, old.get(names.get(name, name)), rule) for name, rule in new.items()]
        kept = {names.get(name, name) for name in new}
        gone = [(name, rule, None) for name, rule in old.items() if name not in kept]
        self._pairs = [self._pair(name, was, now) for name, was, now in (*paired, *gone)]
        self._forwarding = Forwarding(before, after)

    def look(self, past: Past, into: Tally) -> list[Difference]:
        """Decide on a series by both, and count. Returns what differs."""
        enhanced, before, after = self._enhanced(past, into)
        forwarded = self._forwarding.look(past, into)
        into["series"] += 1
        into["circumstances_unknown"] += not past.circumstances_known
        into["changed"] += bool(enhanced or forwarded)
        if enhanced:
            _count_change(into, {each.kind for each in enhanced}, before, after)
        return [*enhanced, *forwarded]

    def change(self, series_uid: str, generation: int, found: Difference) -> Change:
        """A difference that `look` found, with the words of both sides."""
        return Change(series_uid, generation, found.rule, found.kind, *found.said())

    def _enhanced(self, past: Past, into: Tally) -> tuple[list[EnhancingChange], set[str], set[str]]:
        """What differs, and the pipelines that live rules have do their work: before, and by the document."""
        found: list[EnhancingChange] = []
        live_before: set[str] = set()
        live_after: set[str] = set()
        chosen: set[str] = set()
        for pair in self._pairs:
            after = pair.after.decide(past) if pair.after else None
            before = after if pair.same else pair.before.decide(past) if pair.before else None
            kind = _kind(before, after, pair.same_work)
            _count(into["rules"][pair.name], before, after, kind)
            if after is not None and after.answer.matched:
                chosen.add(after.pipeline)
            for decided, live in ((before, live_before), (after, live_after)):
                if decided is not None and decided.acts and not decided.shadow:
                    live.add(decided.pipeline)
            if kind:
                found.append(EnhancingChange(pair.name, kind, before, after))
        _count_chosen(past, into, chosen)
        return found, live_before, live_after

    def _pair(self, name: str, before: ReadyRule | None, after: ReadyRule | None) -> _Pair:
        if before is None or after is None:
            return _Pair(name, before, after, same=False, same_work=False)
        same = before.rule.model_copy(update={"name": name}) == after.rule
        return _Pair(name, before, after, same, same or self._work(before.rule) == self._work(after.rule))

    def _work(self, rule: Rule) -> str:
        """What is done where the rule acts: the recipe, and where the result goes when."""
        assert rule.enhance is not None
        try:
            recipe = self._registry.recipe(rule.enhance.pipeline, rule.enhance.params, rule.writer).canonical()
        except EnhanceError:  # it is done nowhere then; but what was asked may differ
            recipe = canonical_json([rule.enhance.model_dump(mode="json"), rule.writer.model_dump(mode="json")])
        how = [sorted(rule.deliver_to), rule.priority, rule.deadline_minutes, rule.on_overload]
        return canonical_json([recipe, how])


def _count_chosen(past: Past, into: Tally, chosen: set[str]) -> None:
    for pipeline in chosen:
        figures, why = into["pipelines"][pipeline], past.deciding.why_not(pipeline)
        figures["matched"] += 1
        figures["accepted"] += not why
        if why:
            count_reason(figures["reasons"], why)


def _kind(before: Decided | None, after: Decided | None, same_work: bool) -> Kind:
    acted, acts = before is not None and before.acts, after is not None and after.acts
    was = acted and before is not None and not before.shadow
    now = acts and after is not None and not after.shadow
    if was != now:
        return "gains" if now else "loses"
    if acted == acts and (same_work or not acts):
        return ""
    return "other" if now else "shadow"


def _count(figures: Tally, before: Decided | None, after: Decided | None, kind: Kind) -> None:
    for decided, behind in ((after, ""), (before, "_before")):
        if decided is not None and decided.answer.matched:
            figures[f"matched{behind}"] += 1
            figures[f"accepted{behind}"] += not decided.refusal
    if kind:
        figures[kind] += 1


def _count_change(into: Tally, kinds: set[Kind], before: set[str], after: set[str]) -> None:
    """A series counts once for each pipeline that it gains or loses, whichever rules ask for it; else by its kind."""
    for pipeline in after - before:
        into["gains"][pipeline] += 1
    for pipeline in before - after:
        into["loses"][pipeline] += 1
    if before == after:
        into["shadow" if kinds == {"shadow"} else "other"] += 1


def _said(decided: Decided | None) -> dict[str, Any]:
    if decided is None:
        return {"state": "", "acts": False, "outcome": "there is no such rule", "pipeline": "", "deliver_to": []}
    return {
        "state": decided.rule.state,
        "acts": decided.acts,
        "outcome": decided.outcome,
        "pipeline": decided.pipeline,
        "params": dict(decided.params),
        "deliver_to": list(decided.deliver_to),
        "priority": decided.rule.priority,
        "deadline_minutes": decided.rule.deadline_minutes,
        "on_overload": decided.rule.on_overload,
        "writer": decided.rule.writer.model_dump(mode="json", exclude_defaults=True),
    }
