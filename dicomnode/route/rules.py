"""What the rules of a site say to a series, or to one instance on arrival, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.site import Rule, Site
from dicomnode.route.evaluate import Explanation, evaluate


@dataclass(frozen=True)
class RuleExplanation:
    """One rule's answer. `matched` says whether the condition fits, `outcome` what follows from it and the state."""

    rule: Rule
    matched: bool
    outcome: str
    explanation: Explanation

    @property
    def reason(self) -> str:
        """One sentence: the tests that decided, as far as they can be named."""
        if self.matched:
            return "the condition is fulfilled"
        return "; ".join(_blockers(self.explanation)) or "the condition is not fulfilled"

    def to_json(self) -> dict[str, Any]:
        """One JSON object, the whole condition tree in it."""
        return {
            "rule": self.rule.name,
            "state": self.rule.state,
            "matched": self.matched,
            "outcome": self.outcome,
            "reason": self.reason,
            "condition": self.explanation.to_json(),
        }


@dataclass(frozen=True)
class Match:
    """A rule that acts on the series; `shadow` ones run last, are measured and send nothing."""

    rule: Rule
    shadow: bool
    explanation: Explanation


def explain_rules(site: Site, facts: SeriesFacts) -> list[RuleExplanation]:
    """Every rule's answer in the order of writing, drafts too."""
    return [explain_rule(rule, facts) for rule in site.rules]


def decide(site: Site, facts: SeriesFacts) -> list[Match]:
    """The rules that enhance this complete series: all matching live ones, then the matching shadow ones."""
    return _matches((rule for rule in site.rules if rule.enhance is not None), facts)


def decide_forwarding(site: Site, instance: SeriesFacts) -> list[Match]:
    """The live rules that forward this instance on arrival; where to is in each rule's `forward_original_to`.

    The caller keeps the instance from going back to where it came from, and what a dicomnode derived at home.
    """
    rules = (rule for rule in site.rules if rule.forward_original_to and rule.state == "live")
    return _matches(rules, instance)


def render(explanations: Iterable[RuleExplanation]) -> list[str]:
    """The explanations as lines of plain text: one block per rule, one indented line per condition."""
    lines: list[str] = []
    for each in explanations:
        lines += [*([""] if lines else []), f"{each.rule.name} ({each.rule.state}): {each.outcome}"]
        lines += _render(each.explanation, 1)
    return lines


def _matches(rules: Iterable[Rule], facts: SeriesFacts) -> list[Match]:
    matches = [
        Match(rule, rule.state == "shadow", explanation)
        for rule in rules
        if rule.state != "draft" and (explanation := evaluate(rule.when, facts)).result
    ]
    return sorted(matches, key=lambda match: match.shadow)


def explain_rule(rule: Rule, facts: SeriesFacts) -> RuleExplanation:
    """What one rule says to the series, and why."""
    explanation = evaluate(rule.when, facts)
    if rule.state == "draft":
        would = "would match" if explanation.result else "would not match"
        return RuleExplanation(rule, explanation.result, f"ignored as a draft; it {would}", explanation)
    if not explanation.result:
        return RuleExplanation(rule, False, "does not match", explanation)
    outcome = "matches as a shadow: measured, nothing is sent" if rule.state == "shadow" else "matches and acts"
    return RuleExplanation(rule, True, outcome, explanation)


def _blockers(node: Explanation, wanted: bool = True) -> list[str]:
    """The sentences of the tests that kept `node` from being `wanted`."""
    if node.result is wanted:
        return []
    if node.kind == "not":
        return _blockers(node.children[0], not wanted)
    if node.children:
        return [sentence for child in node.children for sentence in _blockers(child, wanted)]
    return [node.sentence] if wanted else [f"{node.sentence}, which the rule excludes"]


def _render(node: Explanation, depth: int) -> list[str]:
    mark = "yes" if node.result else "no "
    lines = [f"{'  ' * depth}{mark} {node.sentence}"]
    for child in node.children:
        lines += _render(child, depth + 1)
    return lines
