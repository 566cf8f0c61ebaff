"""Values of elements, counted, and never more of them than a bound: a stranger's header can be of any size.

What is too large is left out element by element, the largest first, and named as left out: whoever asks for it learns
that it is not kept, which is something else than absent.
"""

from dataclasses import dataclass, field

from dicomnode.complete.elements import Value
from dicomnode.domain.facts import AttributeFacts

MAX_INSTANCE = 8 << 20
"""Bytes that the facts of one instance with many values may take: an enhanced object of a thousand frames takes about
two million."""
MANY = 2000
"""Values of an instance; with fewer it is not measured, for that takes time and a series is measured anyway."""
MAX_SERIES = 64 << 20
"""Bytes that the facts of a series may take; twenty thousand CT slices take half of it. PostgreSQL holds four times as
much in one jsonb."""
MAX_NAMED = 1000
"""Private elements, and such inside sequences, that are named as left out. Of a header that has more to be left out,
the others are not known at all."""

_NAME, _VALUE, _PART = 64, 48, 16
"""About what jsonb takes beside the text of a name, of a value and of a component."""


@dataclass
class _Tally:
    vr: str
    values: dict[Value, int] = field(default_factory=dict)
    carriers: int = 0
    bytes: int = 0
    left_out: bool = False


class Tallies:
    """Distinct values by element, of any number of instances, that take `bound` bytes at most."""

    def __init__(self, bound: int) -> None:
        self._bound, self._bytes = bound, 0
        self._tallies: dict[str, _Tally] = {}
        self._named, self._takes_any = 0, True

    def add(self, name: str, facts: AttributeFacts, carriers: int) -> None:
        """So many more instances carry the element, with these values."""
        tally = self._tallies.get(name) or self._new(name, facts.vr)
        if tally is None:
            return
        tally.carriers += carriers
        if facts.left_out and not tally.left_out:
            self._leave_out(name, tally)
        if tally.left_out:
            return
        values = tally.values
        for value, count in facts.values.items():
            if value in values:
                values[value] += count
            else:
                values[value] = count
                size = _size(value)
                tally.bytes += size
                self._bytes += size
        if self._bytes > self._bound:
            self._shrink()

    def attributes(self, instances: int) -> dict[str, AttributeFacts]:
        """What was counted, of so many instances."""
        return {
            name: AttributeFacts(tally.vr, dict(tally.values), instances - tally.carriers, tally.left_out)
            for name, tally in self._tallies.items()
        }

    def _new(self, name: str, vr: str) -> _Tally | None:
        """None once elements had to be forgotten: one of them would seem to be new. Those of the standard never are."""
        if not self._takes_any and not _is_keyword(name):
            return None
        self._tallies[name] = tally = _Tally(vr)
        self._bytes += _NAME + len(name)
        return tally

    def _shrink(self) -> None:
        """To half of the bound, so that it is seldom done."""
        for name, tally in sorted(self._tallies.items(), key=lambda each: -each[1].bytes):
            if self._bytes <= self._bound // 2:
                break
            if not tally.left_out:
                self._leave_out(name, tally)

    def _leave_out(self, name: str, tally: _Tally) -> None:
        self._bytes -= tally.bytes
        tally.values, tally.bytes, tally.left_out = {}, 0, True
        if _is_keyword(name):
            return
        self._named += 1
        if self._named > MAX_NAMED:
            self._takes_any = False
            self._bytes -= _NAME + len(name)
            del self._tallies[name]


def bounded(attributes: dict[str, AttributeFacts]) -> dict[str, AttributeFacts]:
    """The elements of one instance, the largest left out where they are too much."""
    if sum(len(facts.values) for facts in attributes.values()) <= MANY:
        return attributes
    tallies = Tallies(MAX_INSTANCE)
    for name, facts in attributes.items():
        tallies.add(name, facts, 1)
    return tallies.attributes(1)


def _is_keyword(name: str) -> bool:
    """An element of the standard, outside sequences: there are a few thousand."""
    return name.isalnum()


def _size(value: Value) -> int:
    size = _VALUE
    for part in value:
        size += _PART
        if isinstance(part, str):
            size += len(part) if part.isascii() else 3 * len(part)
    return size
