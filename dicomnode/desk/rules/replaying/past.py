"""A series as it was when it completed, and a rule that is asked of very many of them."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Self

from dicomnode.domain.condition import Condition, condition_document
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.recipe import canonical_json
from dicomnode.domain.site import Rule, Site
from dicomnode.domain.stored_facts import read_facts
from dicomnode.enhance.registry import Registry
from dicomnode.flow.completing.deciding import Circumstances, Decided, Deciding
from dicomnode.route.bounds import Bounds, Count, Instances
from dicomnode.route.evaluate import tester
from dicomnode.route.rules import explain_rule


class Past:
    """One generation of a series. What rules ask of it is found out once, however many ask."""

    def __init__(
        self, facts: SeriesFacts, circumstances: Circumstances, registry: Registry, *, circumstances_known: bool = True
    ) -> None:
        self.facts, self.circumstances, self.circumstances_known = facts, circumstances, circumstances_known
        self.deciding = Deciding(facts, circumstances, registry)
        self.instances = Instances(facts)
        self._fulfilled: dict[str, bool] = {}
        self._counted: dict[Hashable, Bounds] = {}

    @classmethod
    def stored(cls, facts: str, circumstances: str, registry: Registry) -> Self:
        """Of the JSON texts that are kept of it."""
        known = json.loads(circumstances)
        return cls(read_facts(facts), Circumstances.from_json(known), registry, circumstances_known=bool(known))

    def fulfils(self, condition: str, test: Callable[[SeriesFacts], bool]) -> bool:
        """Whether it fulfils a condition, which is told from others by its text."""
        if condition not in self._fulfilled:
            self._fulfilled[condition] = test(self.facts)
        return self._fulfilled[condition]

    def count(self, what: Hashable, count: Count) -> Bounds:
        """How many of its instances `count` finds; `what` tells it from others."""
        if what not in self._counted:
            self._counted[what] = count(self.instances)
        return self._counted[what]


class ReadyRule:
    """A rule that enhances, its condition made ready."""

    def __init__(self, rule: Rule) -> None:
        assert rule.enhance is not None
        self.rule, self.pipeline = rule, rule.enhance.pipeline
        self._condition, self._test = condition_text(rule.when), tester(rule.when)

    def decide(self, past: Past) -> Decided:
        """What the rule leads to for this series: as completion decides."""
        return past.deciding.decide(_Answer(self.rule, past.fulfils(self._condition, self._test), past.facts))


def ready_rules(site: Site) -> list[ReadyRule]:
    """The rules that enhance, drafts too."""
    return [ReadyRule(rule) for rule in site.rules if rule.enhance is not None]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a rule says, without the explanation, which only a change is worth."""

    rule: Rule
    matched: bool
    facts: SeriesFacts

    @property
    def reason(self) -> str:
        return explain_rule(self.rule, self.facts).reason


def condition_text(condition: Condition) -> str:
    """Equal for equal conditions, and for no others."""
    return canonical_json(condition_document(condition))
