"""Conditions that no series can fulfil, whatever it holds. What is found is certain; not everything is found."""

from collections.abc import Iterator, Sequence

from dicomnode.domain.condition import AllOf, AnyOf, AttributeCondition, Condition, FactCondition, Not
from dicomnode.route.literals import Literal, clash

MOST_CASES = 300
"""Combinations of alternatives that are looked at before nothing is claimed."""

Wanted = tuple[Condition, bool]
"""A condition, and whether it must be true or false."""


def contradiction(when: Condition) -> str:
    """Which tests exclude each other, in words; empty if none that can be told without looking at a series."""
    return _Cases().why_not([(when, True)], {})


class _Cases:
    """Goes through the alternatives of a condition, case by case, until one is found that may be."""

    def __init__(self) -> None:
        self._left = MOST_CASES

    def why_not(self, wanted: Sequence[Wanted], known: dict[str, list[Literal]]) -> str:
        """Why not all of `wanted` can be beside what is `known` by subject; empty if it can, as far as is known."""
        known = {subject: list(literals) for subject, literals in known.items()}
        groups: list[tuple[tuple[Condition, ...], bool]] = []
        for condition, want in (part for each in wanted for part in _parts(*each)):
            if isinstance(condition, AnyOf | AllOf):
                groups.append((_children(condition), want))
            elif isinstance(condition, AttributeCondition | FactCondition):
                literal = Literal(condition, want)
                beside = known.setdefault(literal.subject, [])
                if why := clash(literal, beside):
                    return why
                beside.append(literal)
        self._left -= 1
        if not groups or self._left < 0:
            return ""
        (first, want), *others = sorted(groups, key=lambda group: len(group[0]))
        rest = [_as_wanted(children, each) for children, each in others]
        whys: list[str] = []
        for child in first:
            why = self.why_not([(child, want), *rest], known)
            if not why:
                return ""
            whys.append(why)
        return whys[0] if whys else "it excludes every series"


def _parts(condition: Condition, wanted: bool) -> Iterator[Wanted]:
    """What must hold together: the parts of `all`, and by De Morgan of `not any`; groups of which one must are left."""
    match condition:
        case Not(not_=child):
            yield from _parts(child, not wanted)
        case AllOf(all=children) | AnyOf(any=children) if isinstance(condition, AllOf) is wanted:
            for child in children:
                yield from _parts(child, wanted)
        case _:
            yield condition, wanted


def _children(group: AllOf | AnyOf) -> tuple[Condition, ...]:
    return group.all if isinstance(group, AllOf) else group.any


def _as_wanted(children: tuple[Condition, ...], wanted: bool) -> Wanted:
    """A group of which one child must be as wanted."""
    return (AnyOf(any=children), True) if wanted else (AllOf(all=children), False)
