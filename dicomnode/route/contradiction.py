"""Conditions that no series can fulfil, whatever it holds. What is found is certain; not everything is found."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dicomnode.domain.condition import AllOf, AnyOf, AttributeCondition, Condition, FactCondition, Not
from dicomnode.domain.facts import COMPUTED_FACTS
from dicomnode.route.asked import asked_by, subject_of
from dicomnode.route.compare import satisfies

Test = AttributeCondition | FactCondition


@dataclass(frozen=True)
class _Literal:
    """A test that must be true (`wanted`) or false."""

    test: Test
    wanted: bool

    def __str__(self) -> str:
        words = f"{subject_of(self.test)} {asked_by(self.test)}"
        return words if self.wanted else f"not ({words})"


def contradiction(when: Condition) -> str:
    """Which tests exclude each other, in words; empty if none that can be told without looking at a series."""
    return _never(when, True, ())


def _never(condition: Condition, wanted: bool, beside: Sequence[_Literal]) -> str:
    """Why `condition` cannot be `wanted` where all of `beside` hold; empty if it can, as far as is known."""
    literals = list(beside)
    for other in _literals(condition, wanted):
        for one in literals:
            if _exclude(one, other):
                return f"{one}, and {other}"
        literals.append(other)
    for alternatives, want in _alternatives(condition, wanted):
        whys = [_never(each, want, literals) for each in alternatives]
        if all(whys):
            return whys[0] if whys else "it excludes every series"
    return ""


def _parts(condition: Condition, wanted: bool) -> Iterator[tuple[Condition, bool]]:
    """What must hold together: the parts of `all`, and by De Morgan of `not any`."""
    match condition:
        case Not(not_=child):
            yield from _parts(child, not wanted)
        case AllOf(all=children) if wanted:
            for child in children:
                yield from _parts(child, wanted)
        case AnyOf(any=children) if not wanted:
            for child in children:
                yield from _parts(child, wanted)
        case _:
            yield condition, wanted


def _literals(condition: Condition, wanted: bool) -> list[_Literal]:
    parts = _parts(condition, wanted)
    return [_Literal(each, want) for each, want in parts if isinstance(each, AttributeCondition | FactCondition)]


def _alternatives(condition: Condition, wanted: bool) -> Iterator[tuple[Iterable[Condition], bool]]:
    """Groups of which one must hold: `any`, and by De Morgan `not all`."""
    for each, want in _parts(condition, wanted):
        match each:
            case AnyOf(any=children) | AllOf(all=children):
                yield children, want


def _exclude(one: _Literal, other: _Literal) -> bool:
    if subject_of(one.test) != subject_of(other.test) or type(one.test) is not type(other.test):
        return False
    if one.test == other.test:
        return one.wanted is not other.wanted
    if any(_absent(each) and _present(rest) for each, rest in ((one, other), (other, one))):
        return True
    return one.wanted and other.wanted and _single(one.test) and not _common(one.test, other.test)


def _absent(literal: _Literal) -> bool:
    """No instance has it."""
    test, wanted = literal.test, literal.wanted
    return test.operator == "exists" and test.expected is not wanted and (wanted or not _every(test))


def _present(literal: _Literal) -> bool:
    """At least one instance has it: every test but `exists` is false where there is no value."""
    if literal.test.operator == "exists":
        return literal.test.expected is literal.wanted
    return literal.wanted


def _every(test: Test) -> bool:
    return isinstance(test, AttributeCondition) and test.every


def _single(test: Test) -> bool:
    """Facts that are numbers or truth values have one value, which all tests look at; attributes may have several."""
    return isinstance(test, FactCondition) and COMPUTED_FACTS[test.fact].kind != "text"


def _common(one: Test, other: Test) -> bool:
    """Whether one value satisfies both: true or false; or a number that an end is, or that lies beside or between."""
    ends = sorted({end for test in (one, other) for end in _ends(test)})
    numbers = [*ends, *((low + high) / 2 for low, high in pairwise(ends))]
    numbers += [ends[0] - 1, ends[-1] + 1] if ends else [0.0]
    assert isinstance(one, FactCondition)
    values: Sequence[float | bool] = (True, False) if COMPUTED_FACTS[one.fact].kind == "truth value" else numbers
    return any(_fits(one, value) and _fits(other, value) for value in values)


def _ends(test: Test) -> Iterator[float]:
    expected = test.expected if isinstance(test.expected, tuple) else (test.expected,)
    yield from (float(each) for each in expected if isinstance(each, int | float) and not isinstance(each, bool))


def _fits(test: Test, value: float | bool) -> bool:
    return test.expected is True if test.operator == "exists" else satisfies((value,), test.operator, test.expected)
