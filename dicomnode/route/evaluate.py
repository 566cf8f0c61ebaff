"""Evaluating a condition on facts: the answer comes with every value that led to it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dicomnode.domain.condition import (
    AllOf,
    AnyOf,
    AttributeCondition,
    Condition,
    Expected,
    FactCondition,
    Not,
    Operator,
)
from dicomnode.domain.facts import AttributeFacts, Scalar, SeriesFacts
from dicomnode.route.asked import SHOWN_TEXT, asked, shown, subject_of
from dicomnode.route.compare import Value, satisfies
from dicomnode.route.vocabulary import facts_name

SHOWN = 8
"""Distinct values an explanation lists; `distinct` says how many there are."""


@dataclass(frozen=True)
class Seen:
    """One distinct value, on how many instances, and whether it satisfies the condition."""

    value: Value
    count: int
    satisfies: bool


@dataclass(frozen=True)
class Explanation:
    """One node of the condition tree and its result. Groups have `children`, tests have what they saw.

    `kind` is all, any, not, attribute or fact. `absent` counts the instances without the element. Values that decide
    the result are listed first in `seen`.
    """

    kind: str
    result: bool
    sentence: str
    children: tuple["Explanation", ...] = ()
    subject: str = ""
    operator: str = ""
    expected: Expected | None = None
    every: bool = False
    seen: tuple[Seen, ...] = ()
    distinct: int = 0
    absent: int = 0

    def to_json(self) -> dict[str, Any]:
        """One JSON object; children nest."""
        document: dict[str, Any] = {"kind": self.kind, "result": self.result, "sentence": self.sentence}
        if self.kind in ("all", "any", "not"):
            return {**document, "children": [child.to_json() for child in self.children]}
        return {
            **document,
            "subject": self.subject,
            "operator": self.operator,
            "expected": list(self.expected) if isinstance(self.expected, tuple) else self.expected,
            "every": self.every,
            "seen": [{"value": list(s.value), "count": s.count, "satisfies": s.satisfies} for s in self.seen],
            "distinct": self.distinct,
            "absent": self.absent,
        }

    def tests(self) -> Iterator["Explanation"]:
        """The tests of this tree, in the order of writing."""
        if not self.children and self.kind in ("attribute", "fact"):
            yield self
        for child in self.children:
            yield from child.tests()


def evaluate(when: Condition, facts: SeriesFacts) -> Explanation:
    """The explained result of `when` on a series' facts or, on arrival, on those of one instance.

    A test is true if any distinct value satisfies it; with `every` all of them must and no instance may lack the
    element. On an absent attribute a test is false (so `not` of it is true), except `exists: false`; so it is on one
    whose values were too large to be kept, but that exists. Nothing is cut short: every test is evaluated, so that each
    can be shown.
    """
    match when:
        case AllOf(all=conditions):
            children = tuple(evaluate(condition, facts) for condition in conditions)
            result = all(child.result for child in children)
            return Explanation("all", result, _group_sentence("all", children), children)
        case AnyOf(any=conditions):
            children = tuple(evaluate(condition, facts) for condition in conditions)
            result = any(child.result for child in children)
            return Explanation("any", result, _group_sentence("any", children), children)
        case Not(not_=condition):
            child = evaluate(condition, facts)
            sentence = f"not: the condition below is {'true' if child.result else 'false'}"
            return Explanation("not", not child.result, sentence, (child,))
        case AttributeCondition(attribute=attribute, private_creator=creator, every=every):
            found = facts.attributes.get(facts_name(attribute, creator))
            return _test("attribute", subject_of(when), when.operator, when.expected, found, every)
        case FactCondition(fact=fact):
            return _test("fact", fact, when.operator, when.expected, _fact(facts.computed, fact), False)


def tester(when: Condition) -> Callable[[SeriesFacts], bool]:
    """A function that gives the result of `evaluate` without its explanation: for who asks of very many series."""
    match when:
        case AllOf(all=conditions):
            tests = [tester(condition) for condition in conditions]
            return lambda facts: all(test(facts) for test in tests)
        case AnyOf(any=conditions):
            tests = [tester(condition) for condition in conditions]
            return lambda facts: any(test(facts) for test in tests)
        case Not(not_=condition):
            test = tester(condition)
            return lambda facts: not test(facts)
        case AttributeCondition(attribute=attribute, private_creator=creator, every=every):
            name, operator, expected = facts_name(attribute, creator), when.operator, when.expected
            return lambda facts: _judge(operator, expected, facts.attributes.get(name), every)[1]
        case FactCondition(fact=fact):
            operator, expected = when.operator, when.expected
            return lambda facts: _judge(operator, expected, _fact(facts.computed, fact), False)[1]


def _fact(computed: Mapping[str, Scalar | None], name: str) -> AttributeFacts | None:
    """A computed fact in the shape of an attribute: a text may hold several values, separated by a backslash."""
    value = computed.get(name)
    if value is None:
        return None
    parts = value.split("\\") if isinstance(value, str) else [value]
    return AttributeFacts(vr="", values={(part,): 1 for part in parts})


def _test(
    kind: str, subject: str, operator: Operator, expected: Expected, found: AttributeFacts | None, every: bool
) -> Explanation:
    values = found.values if found else {}
    fulfilled, result = _judge(operator, expected, found, every)
    judged = [Seen(value, count, fits) for (value, count), fits in zip(values.items(), fulfilled, strict=True)]
    # What decided comes first: the satisfying values of a true test, the failing ones of a false one.
    first = tuple(sorted(judged, key=lambda seen: (seen.satisfies is not result, -seen.count))[:SHOWN])
    absent = found.absent if found else 0
    nothing = "too large to be kept" if found and found.left_out else "absent"
    sentence = _sentence(subject, operator, expected, every, first, len(values), absent, nothing)
    return Explanation(
        kind, result, sentence, (), subject, operator, expected, every, first, distinct=len(values), absent=absent
    )


def _judge(
    operator: Operator, expected: Expected, found: AttributeFacts | None, every: bool
) -> tuple[list[bool], bool]:
    """Whether each distinct value satisfies the test, and the test's result."""
    if found is None:
        return [], operator == "exists" and expected is False
    if operator == "exists":
        present = bool(found.values or found.left_out) and not (every and expected and found.absent)
        return [bool(expected)] * len(found.values), present is expected
    fulfilled = [satisfies(value, operator, expected, found.vr) for value in found.values]
    result = bool(fulfilled) and not found.absent and all(fulfilled) if every else any(fulfilled)
    return fulfilled, result


_GROUPS = {"all": "all of {total}: {true} true", "any": "any of {total}: {true} true"}


def _group_sentence(kind: str, children: tuple[Explanation, ...]) -> str:
    if not children:
        return "all of nothing: always true"
    return _GROUPS[kind].format(total=len(children), true=sum(child.result for child in children))


def _sentence(
    subject: str,
    operator: Operator,
    expected: Expected,
    every: bool,
    seen: tuple[Seen, ...],
    distinct: int,
    absent: int,
    nothing: str,
) -> str:
    """ "SliceThickness is at most 1.5: seen 1.0 (20 instances), 5.0 (1)" """
    question = f"{subject} {asked(operator, expected, every)}"
    if not seen:
        return f"{question}: {nothing}"
    values = ", ".join(_shown_value(each.value) + (f" ({each.count})" if each.count > 1 else "") for each in seen)
    more = f" and {distinct - len(seen)} more" if distinct > len(seen) else ""
    return f"{question}: seen {values}{more}" + (f", absent in {absent}" if absent else "")


def _shown_value(value: Value) -> str:
    return "\\".join(str(part) if len(value) > 1 else shown(part) for part in value)[:SHOWN_TEXT]
