"""Tests on one subject that must be true or false together, and whether that can be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import ceil, floor, inf

from dicomnode.domain.condition import AttributeCondition, FactCondition, Operator
from dicomnode.domain.facts import COMPUTED_FACTS, Scalar
from dicomnode.route.asked import asked_by, subject_of
from dicomnode.route.compare import satisfies
from dicomnode.route.vocabulary import facts_name

Test = AttributeCondition | FactCondition

_WORDS: dict[str, tuple[str, ...]] = {"orientation": ("axial", "coronal", "sagittal", "oblique", "mixed")}
"""Facts that are one word of a closed list."""
_LEAST = {"instance_count": 1}
"""The smallest value of a number; of the others it is 0."""
_ALWAYS = frozenset({"instance_count", "image_count", "frame_count", "sop_class_count", "has_localizer"})
"""Facts that are known of every series."""


@dataclass(frozen=True)
class Literal:
    """A test that must be true (`wanted`) or false."""

    test: Test
    wanted: bool

    @property
    def subject(self) -> str:
        """Equal for tests that look at the same values, however they write the element."""
        if isinstance(self.test, FactCondition):
            return f"fact {self.test.fact}"
        return facts_name(self.test.attribute, self.test.private_creator)

    def __str__(self) -> str:
        words = f"{subject_of(self.test)} {asked_by(self.test)}"
        return words if self.wanted else f"not ({words})"


def clash(new: Literal, beside: Sequence[Literal]) -> str:
    """Which of these, all on one subject, exclude each other, in words; empty if none is known to. `beside` can be."""
    if _is_single(new.test):
        return _without_a_value(new, beside)
    for other in beside:
        if _exclude(new, other) or _exclude(other, new):
            return f"{other}, and {new}"
    everything = (*beside, new)
    for one in everything:
        if one.wanted and (against := _covered(one.test, [each for each in everything if not each.wanted])):
            return ", and ".join(map(str, (one, *against)))
    return ""


def _is_single(test: Test) -> bool:
    """Whether all tests look at one value, of which it is known what it can be."""
    return isinstance(test, FactCondition) and (COMPUTED_FACTS[test.fact].kind != "text" or test.fact in _WORDS)


def _without_a_value(new: Literal, beside: Sequence[Literal]) -> str:
    """The fewest of these that no value fulfils together."""
    assert isinstance(new.test, FactCondition)
    candidates = list(_candidates(new.test.fact, [each.test for each in (*beside, new)]))
    for size in (0, 1, len(beside)):
        for others in combinations(beside, min(size, len(beside))):
            chosen = (*others, new)
            if not any(all(_holds(each, value) for each in chosen) for value in candidates):
                return ", and ".join(map(str, chosen))
    return ""


def _holds(literal: Literal, value: Scalar | None) -> bool:
    test = literal.test
    if value is None or test.operator == "exists":
        return (test.operator == "exists" and test.expected is (value is not None)) is literal.wanted
    return satisfies((value,), test.operator, test.expected) is literal.wanted


def _candidates(fact: str, tests: Iterable[Test]) -> Iterator[Scalar | None]:
    """One value of every kind that tests can tell from others; None: the fact is not known."""
    if fact not in _ALWAYS:
        yield None
    if fact in _WORDS or COMPUTED_FACTS[fact].kind == "truth value":
        yield from _WORDS.get(fact, (True, False))
        return
    least = _LEAST.get(fact, 0)
    ends = sorted({least, *(end for test in tests for end in _numbers(test))})
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    if fact.endswith("_count"):
        between = [number for end in ends for number in (ceil(end) - 1, floor(end) + 1)]
        ends = [end for end in ends if float(end).is_integer()]
    yield from (number for number in (*ends, *between, ends[-1] + 1 if ends else least) if number >= least)


def _numbers(test: Test) -> Iterator[float]:
    yield from (each for each in _expected(test) if isinstance(each, int | float) and not isinstance(each, bool))


def _expected(test: Test) -> tuple[Scalar, ...]:
    return test.expected if isinstance(test.expected, tuple) else (test.expected,)


def _exclude(one: Literal, other: Literal) -> bool:
    """Of a subject with any number of values: whether both cannot be, whatever they are."""
    if one.test == other.test:
        return one.wanted is not other.wanted
    if _absent(one):
        return _present(other)
    return one.wanted and not other.wanted and _reaches(one.test, other.test) and _implies(one.test, other.test)


def _covered(test: Test, excluded: Sequence[Literal]) -> list[Literal]:
    """Those of the excluded tests that together leave nothing of what `test` names one by one."""
    if test.operator not in ("equals", "in"):
        return []
    found = []
    for value in _expected(test):
        ground = next((each for each in excluded if _reaches(test, each.test) and _takes(each.test, value)), None)
        if ground is None:
            return []
        found.append(ground)
    return list(dict.fromkeys(found))


def _reaches(test: Test, other: Test) -> bool:
    """Whether a value that fulfils one, and so the other, makes the other true: with `every` all values must."""
    return not _is_every(other) or _is_every(test)


def _implies(test: Test, other: Test) -> bool:
    """Whether every component that fulfils `test` fulfils `other`; False where that is not known."""
    if test.operator in ("equals", "in"):
        return all(_takes(other, value) for value in _expected(test))
    if test.operator in _TEXTS and other.operator in _TEXTS:
        mine, yours = str(test.expected), str(other.expected)
        return not _is_date(mine) and not _is_date(yours) and _TEXTS[test.operator](mine, other.operator, yours)
    mine_range, yours_range = _range(test), _range(other)
    return mine_range is not None and yours_range is not None and _within(mine_range, yours_range)


_TEXTS: dict[str, Callable[[str, Operator, str], bool]] = {
    "contains": lambda mine, operator, yours: operator == "contains" and satisfies((mine,), operator, yours),
    "starts_with": lambda mine, operator, yours: operator != "ends_with" and satisfies((mine,), operator, yours),
    "ends_with": lambda mine, operator, yours: operator != "starts_with" and satisfies((mine,), operator, yours),
}
"""Whether what holds (or begins, or ends with) `mine` fulfils another of these operators on `yours`."""


def _takes(test: Test, value: Scalar) -> bool:
    """Whether `test` is true of every component that equals `value`, however that is written."""
    if test.operator in ("not_equals", "exists"):
        return False
    kinds = {_kind(each) for each in (value, *_expected(test))}
    return len(kinds) == 1 and "" not in kinds and satisfies((value,), test.operator, test.expected)


def _kind(value: Scalar) -> str:
    """Of a value that has one writing; empty for texts that read as numbers or dates, and for truth values."""
    if isinstance(value, bool):
        return ""
    if not isinstance(value, str):
        return "number"
    return "" if _is_date(value) or satisfies((value,), "ge", -inf) else "text"


def _is_date(text: str) -> bool:
    """Whether it may be written otherwise for elements of VR DA."""
    return satisfies((text,), "equals", text.replace("-", "").replace(".", ""), "DA") and ("-" in text or "." in text)


Range = tuple[tuple[float, bool], tuple[float, bool]]
"""The lower end and whether it is left out; the upper end, and whether it belongs to it."""


def _range(test: Test) -> Range | None:
    ends = [each for each in _expected(test) if _kind(each) == "number"]
    if len(ends) != len(_expected(test)):
        return None
    low, high = (float(end) for end in (ends[0], ends[-1]))
    match test.operator:
        case "lt" | "le":
            return (-inf, False), (high, test.operator == "le")
        case "gt" | "ge":
            return (low, test.operator == "gt"), (inf, True)
        case "between":
            return (low, False), (high, True)
    return None


def _within(inner: Range, outer: Range) -> bool:
    return inner[0] >= outer[0] and inner[1] <= outer[1]


def _absent(literal: Literal) -> bool:
    """No instance has it."""
    test, wanted = literal.test, literal.wanted
    return test.operator == "exists" and test.expected is not wanted and (wanted or not _is_every(test))


def _present(literal: Literal) -> bool:
    """At least one instance has it: every test but `exists` is false where there is no value."""
    if literal.test.operator == "exists":
        return literal.test.expected is literal.wanted
    return literal.wanted


def _is_every(test: Test) -> bool:
    return isinstance(test, AttributeCondition) and test.every
