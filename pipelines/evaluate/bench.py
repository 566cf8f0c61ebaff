"""What every part of the evaluation is given: the held-out slices, the methods, and the strengths they are held at."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from .classical import Tuned
from .heldout import Slice
from .methods import ENDS, Method, Network, filtered
from .outputs import Outputs

Item = TypeVar("Item")
Result = TypeVar("Result")


class Finding(Protocol):
    """What a part of the evaluation found: fields for the gates and JSON, and a chapter of the page."""

    @property
    def title(self) -> str:
        """The heading of the chapter."""

    def markdown(self) -> str:
        """What was measured and how, and the figures, without the title."""


@dataclass(frozen=True)
class Variant:
    """A method at one strength, as a row of a table."""

    label: str
    method: str
    strength: float


@dataclass(frozen=True)
class Bench:
    """The held-out slices at a quarter dose, and what is compared on them.

    outputs  of every method at full strength, by name
    matched  the strength at which a method has the noise of the best classical filter; absent where it cannot
    """

    data: Path
    weights: Path
    network: Network
    classical: Tuned
    slices: list[Slice]
    outputs: dict[str, Outputs]
    strength: float
    texture: float
    matched: dict[str, float]
    threads: int

    @property
    def headline(self) -> str:
        """The network end that a series gets by default."""
        return end_of(self.texture)

    def methods(self) -> dict[str, Method]:
        """The best classical filter and both ends of the network, at full strength."""
        ends = {name: self.network.at(1.0, texture) for name, texture in ends_with(self.texture).items()}
        return {self.classical.name: filtered(self.classical), **ends}

    def variants(self) -> list[Variant]:
        """The input, the best classical filter, and the ends at the default strength and at that filter's noise."""
        best, ends = self.classical.name, tuple(ends_with(self.texture))
        default = [Variant(at_strength(end, self.strength), end, self.strength) for end in ends]
        matched = [Variant(at_noise(end), end, self.matched[end]) for end in ends if end in self.matched]
        return [Variant("input", best, 0.0), Variant(best, best, 1.0), *default, *matched]

    def each(self, work: Callable[[Item], Result], items: list[Item]) -> Iterator[Result]:
        """The work on every item, on as many threads as allowed, in order."""
        with ThreadPoolExecutor(self.threads) as pool:
            yield from pool.map(work, items)


def end_of(texture: float) -> str:
    """The name of the network at a texture."""
    return next((name for name, value in ENDS.items() if value == texture), f"texture {texture:g}")


def ends_with(texture: float) -> dict[str, float]:
    """Both ends, and the default between them if it is neither."""
    return {**ENDS, end_of(texture): texture}


def at_strength(name: str, strength: float) -> str:
    """The label of a method at a strength."""
    return f"{name}, strength {strength:g}"


def at_noise(name: str) -> str:
    """The label of a method at the strength that leaves the best classical filter's noise."""
    return f"{name}, matched noise"
