"""What one rule's answer leads to, for one generation of a series: the same for completion and for replay.

A pure function of what is known: the rule's answer, the facts, the circumstances and the pipelines. Whether there is
more work than can be done in time is not part of it (`overload`): that is a matter of the moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.provenance import series_is_derived_by_dicomnode
from dicomnode.domain.site import Enhancement, Rule
from dicomnode.enhance.errors import ParamsRefused
from dicomnode.enhance.registry import Registry
from dicomnode.flow.context import gone_words
from dicomnode.flow.outdated.rejections import contradiction, refusal


@dataclass(frozen=True)
class Circumstances:
    """What a decision rests on beside the facts, as it was when the generation completed.

    `gone`: instances whose bytes are no longer here, by what became of them; `rejected`: instances that somebody
    rejected, by the code of the title; `contradicted`: instances that came again with other content, by what they came
    as (`instances.contradicted`).
    """

    derived_by_node: bool = False
    gone: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    contradicted: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        counted = {"gone": self.gone, "rejected": self.rejected, "contradicted": self.contradicted}
        return {"derived_by_node": self.derived_by_node, **{name: dict(counts) for name, counts in counted.items()}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Of an empty document, which generations have that completed before circumstances were kept: none known."""
        counted = (dict(document.get(name, {})) for name in ("gone", "rejected", "contradicted"))
        return cls(bool(document.get("derived_by_node")), *counted)


class Answer(Protocol):
    """What a rule says of the facts; `route.rules.RuleExplanation` is one."""

    @property
    def rule(self) -> Rule: ...

    @property
    def matched(self) -> bool: ...

    @property
    def reason(self) -> str:
        """Why it does not match, where it does not."""


@dataclass(frozen=True)
class Decided:
    """What follows from a rule that enhances. `refusal`: why a match leads to no work; empty where it does."""

    answer: Answer
    refusal: str

    @property
    def rule(self) -> Rule:
        return self.answer.rule

    @property
    def acts(self) -> bool:
        """Whether work is asked for: by a live rule for its destinations, by a shadow to be measured."""
        return self.answer.matched and not self.refusal and self.rule.state != "draft"

    @property
    def shadow(self) -> bool:
        return self.rule.state == "shadow"

    @property
    def pipeline(self) -> str:
        return self.rule.enhance.pipeline if self.rule.enhance else ""

    @property
    def params(self) -> Mapping[str, Any]:
        """As the rule gives them; the pipeline has defaults for the others."""
        return self.rule.enhance.params if self.rule.enhance else {}

    @property
    def deliver_to(self) -> tuple[str, ...]:
        """Where the result goes; nowhere while nothing is done, or only measured."""
        return self.rule.deliver_to if self.acts and not self.shadow else ()

    @property
    def outcome(self) -> str:
        """In words for an administrator."""
        if not self.answer.matched:
            return f"does not match: {self.answer.reason}"
        if self.refusal:
            return f"matches, but {self.refusal}"
        words = "matches as a shadow, nothing is sent" if self.shadow else "matches"
        return f"{words}: {self.pipeline}"


class Deciding:
    """What is known of one generation, and what follows from each rule's answer. A pipeline is asked once."""

    def __init__(self, facts: SeriesFacts, circumstances: Circumstances, registry: Registry) -> None:
        self._facts, self._circumstances, self._registry = facts, circumstances, registry
        self._why_not: dict[str, str] = {}

    def decide(self, answer: Answer) -> Decided:
        """What follows from the answer of a rule that enhances."""
        assert answer.rule.enhance is not None
        if not answer.matched:
            return Decided(answer, "")
        return Decided(answer, self.why_not(answer.rule.enhance.pipeline) or self._unfit(answer.rule.enhance))

    def why_not(self, pipeline: str) -> str:
        """Why this pipeline does nothing for the series though a rule chose it; empty if it does."""
        if pipeline not in self._why_not:
            self._why_not[pipeline] = self._refusal(pipeline)
        return self._why_not[pipeline]

    def _unfit(self, asked: Enhancement) -> str:
        """Why a pipeline that takes the series does not take these parameters: it was another one when they were."""
        try:
            self._registry.usable(asked.pipeline).params(asked.params)
        except ParamsRefused as error:
            return f"its parameters are refused: {error}"
        return ""

    def _refusal(self, pipeline: str) -> str:
        around = self._circumstances
        if around.derived_by_node or series_is_derived_by_dicomnode(self._facts):
            return "a dicomnode made this series: never enhanced again"
        if around.gone:
            return f"the series is not whole: {gone_words(around.gone)}"
        if around.rejected:
            return f"{sum(around.rejected.values())} of its instances were rejected: {refusal(around.rejected)}"
        if around.contradicted:
            return f"the series is contradicted: {contradiction(around.contradicted)}"
        entry = self._registry.get(pipeline)
        if entry is None or not entry.usable:
            return f"pipeline {pipeline} cannot be used: {entry.error if entry else 'it is not installed'}"
        acceptance = entry.accepts(self._facts)
        return "" if acceptance.accepted else f"{pipeline} declines: {acceptance.reason}"
