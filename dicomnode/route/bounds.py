"""How many instances of a series fulfil a condition, as far as the facts of the whole series can tell.

Facts count each element's values by themselves: of 12 instances 8 are AXIAL and 6 have 1 mm, but not which. So the
answer is a least and a most, found by what sets of such sizes can have in common (Fréchet's inequalities). Both are the
same number wherever the instances agree on what is asked, or a single test decides.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property

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
from dicomnode.domain.facts import COMPUTED_FACTS, SeriesFacts
from dicomnode.route.compare import satisfies
from dicomnode.route.vocabulary import facts_name


@dataclass(frozen=True)
class Bounds:
    """At least `low` and at most `high` instances."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        return self.low == self.high


class Instances:
    """The instances of a series, known by its facts alone."""

    def __init__(self, facts: SeriesFacts) -> None:
        self.facts = facts

    @cached_property
    def total(self) -> int:
        return int(self.facts.computed.get("instance_count") or 0)

    def fulfil(self, when: Condition) -> Bounds:
        """How many fulfil this condition, each by itself, as on arrival."""
        return counter(when)(self)

    def all_of(self, parts: Iterable[Bounds]) -> Bounds:
        """Of those that fulfil each of several conditions: how many fulfil all."""
        found = list(parts)
        low = sum(part.low for part in found) - (len(found) - 1) * self.total
        return Bounds(max(0, low), min((part.high for part in found), default=self.total)) if found else self.every()

    def any_of(self, parts: Iterable[Bounds]) -> Bounds:
        """Likewise: how many fulfil at least one."""
        found = list(parts)
        return Bounds(max((part.low for part in found), default=0), min(self.total, sum(part.high for part in found)))

    def none_of(self, part: Bounds) -> Bounds:
        """How many do not."""
        return Bounds(self.total - part.high, self.total - part.low)

    def every(self) -> Bounds:
        return Bounds(self.total, self.total)

    def with_receipt(self, fact: str, fitting: Collection[str]) -> Bounds:
        """How many have one of these among the values that the receipts gave (a fact of `on_arrival`).

        Each instance has one of them; which of several is not kept.
        """
        seen = self.receipts(fact)
        fits = sum(value in fitting for value in seen)
        misses = len(seen) - fits
        return Bounds(fits if misses else self.total, self.total - misses) if fits else _NONE

    def receipts(self, fact: str) -> list[str]:
        """The distinct values that the receipts gave."""
        return [value for value in str(self.facts.computed.get(fact) or "").split("\\") if value]


_NONE = Bounds(0, 0)
Count = Callable[[Instances], Bounds]


def counter(when: Condition) -> Count:
    """A condition made ready: for who asks it of very many series."""
    match when:
        case AllOf(all=conditions):
            counts = list(map(counter, conditions))
            return lambda instances: instances.all_of(count(instances) for count in counts)
        case AnyOf(any=conditions):
            counts = list(map(counter, conditions))
            return lambda instances: instances.any_of(count(instances) for count in counts)
        case Not(not_=condition):
            inner = counter(condition)
            return lambda instances: instances.none_of(inner(instances))
        case AttributeCondition(attribute=attribute, private_creator=creator, every=every):
            name, operator, expected = facts_name(attribute, creator), when.operator, when.expected
            return lambda instances: _attribute(instances, name, operator, expected, every)
        case FactCondition(fact=fact):
            operator, expected = when.operator, when.expected
            return lambda instances: _fact(instances, fact, operator, expected)


def _attribute(instances: Instances, name: str, operator: Operator, expected: Expected, every: bool) -> Bounds:
    found = instances.facts.attributes.get(name)
    absent = found.absent if found else instances.total
    carriers = instances.total - absent
    if operator == "exists":
        count = carriers if expected else absent
        return Bounds(count, count)
    if found is None:
        return _NONE
    if found.left_out:  # on arrival the values may have been there
        return Bounds(0, carriers)
    fitting, failing = [0], [0]
    for value, count in found.values.items():
        (fitting if satisfies(value, operator, expected, found.vr) else failing).append(count)
    # Inside a sequence one instance may carry several values: then the counts add up to more than the carriers.
    low, high = max(0, carriers - sum(failing)), min(carriers, sum(fitting))
    if every:
        return Bounds(low, min(high, carriers - max(failing)))
    return Bounds(max(low, *fitting), high)


def _fact(instances: Instances, fact: str, operator: Operator, expected: Expected) -> Bounds:
    if not COMPUTED_FACTS[fact].on_arrival:
        return Bounds(0, instances.total)
    seen = instances.receipts(fact)
    if operator == "exists":
        return instances.every() if bool(seen) is expected else _NONE
    return instances.with_receipt(fact, [value for value in seen if satisfies((value,), operator, expected)])
