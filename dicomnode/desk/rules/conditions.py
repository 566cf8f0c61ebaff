"""What differs between two conditions, test by test, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dicomnode.domain.condition import AllOf, AnyOf, AttributeCondition, Condition, FactCondition, Not
from dicomnode.route.asked import asked_by, subject_of

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Change:
    """One thing that differs. `what` is a field of the entry, or for a condition the group it stands in.

    `before` and `after` are words for people; one of them is empty for what was added or removed.
    """

    kind: Kind
    what: str
    before: str
    after: str

    @property
    def text(self) -> str:
        """One line: "condition: SliceThickness is at most 1.5 -> at most 3"."""
        if self.kind == "changed":
            return f"{self.what}: {self.before} -> {self.after}"
        return f"{self.what}: {self.kind}: {self.after or self.before}"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "what": self.what, "before": self.before, "after": self.after, "text": self.text}


def words_of(condition: Condition) -> str:
    """A whole condition on one line: `all of (Modality equals CT; not (SliceThickness is at most 3))`."""
    match condition:
        case AllOf(all=()):
            return "every series"
        case AllOf(all=children):
            return f"all of ({'; '.join(map(words_of, children))})"
        case AnyOf(any=children):
            return f"any of ({'; '.join(map(words_of, children))})"
        case Not(not_=child):
            return f"not ({words_of(child)})"
        case AttributeCondition() | FactCondition():
            return f"{subject_of(condition)} {asked_by(condition)}"


def diff_conditions(before: Condition, after: Condition, what: str = "condition") -> list[Change]:
    """What has to change in `before` to make it `after`; nothing where both are equal.

    Tests on one subject are compared with each other, in whatever order they stand; a test that became a group of all
    counts as a group of one.
    """
    if before == after:
        return []
    match before, after:
        case (AllOf(), _) | (_, AllOf()):
            return list(_groups(_conjuncts(before), _conjuncts(after), what))
        case AnyOf(any=left), AnyOf(any=right):
            return list(_groups(left, right, f"{what}, any of"))
        case Not(not_=left), Not(not_=right):
            return diff_conditions(left, right, f"{what}, not")
    if _alike(before, after):
        assert isinstance(after, AttributeCondition | FactCondition)
        return [Change("changed", what, words_of(before), asked_by(after).removeprefix("is "))]
    return [Change("removed", what, words_of(before), ""), Change("added", what, "", words_of(after))]


def _conjuncts(condition: Condition) -> tuple[Condition, ...]:
    return condition.all if isinstance(condition, AllOf) else (condition,)


def _groups(before: Sequence[Condition], after: Sequence[Condition], what: str) -> Iterator[Change]:
    """Equal children pair off first, then those that are alike; what is left was removed or added."""
    left, right = list(before), list(after)
    for child in before:
        if child in right:
            left.remove(child)
            right.remove(child)
    for child in left:
        partner = next((each for each in right if _alike(child, each, closely=True)), None)
        partner = partner or next((each for each in right if _alike(child, each)), None)
        if partner is None:
            yield Change("removed", what, words_of(child), "")
        else:
            right.remove(partner)
            yield from diff_conditions(child, partner, _below(what, child))
    yield from (Change("added", what, "", words_of(child)) for child in right)


def _below(what: str, child: Condition) -> str:
    """`all` in `all` is worth a word; other groups name themselves."""
    return f"{what}, all of" if isinstance(child, AllOf) else what


def _alike(one: Condition, other: Condition, *, closely: bool = False) -> bool:
    """Tests on one subject (closely: with one operator), or groups of one kind."""
    if isinstance(one, AttributeCondition | FactCondition) and isinstance(other, AttributeCondition | FactCondition):
        return subject_of(one) == subject_of(other) and (not closely or one.operator == other.operator)
    return type(one) is type(other)
