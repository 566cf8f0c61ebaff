"""Find the generator among the tensors of a file, as the pipeline's own weights file lays it out.

That file says what a network's tensors are called, and whether it has several ends (`pixel.*` and `adversarial.*`,
between which `texture` moves). A file with one network gives the same tensors to every end. Whether the network fits in
all its parts is judged where the pipeline loads it (`golden_case`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicomnode.cli.common import fail

if TYPE_CHECKING:
    import torch

Tensors = dict[str, "torch.Tensor"]
_JUDGES = ("discriminator", "discriminators", "netd", "net_d", "disc", "critic", "critics")


@dataclass(frozen=True)
class Layout:
    """Names in a weights file: `ends` are the first words, `names` what each of them has; one end "" if none."""

    ends: tuple[str, ...]
    names: frozenset[str]

    @classmethod
    def of(cls, known: Mapping[str, "torch.Tensor"]) -> "Layout":
        """Ends are first words that all have the same names under them."""
        under: dict[str, set[str]] = {}
        for name in known:
            first, _, rest = name.partition(".")
            under.setdefault(first, set()).add(rest)
        tables = list(under.values())
        if len(tables) > 1 and "" not in tables[0] and all(table == tables[0] for table in tables):
            return cls(tuple(under), frozenset(tables[0]))
        return cls(("",), frozenset(known))


def generator_of(tensors: Tensors, known: Mapping[str, "torch.Tensor"]) -> tuple[Tensors, bool]:
    """The tensors under the names of the pipeline's weights file, in float32, and whether each end has its own.

    Raises CommandFailed with one sentence: a discriminator inside, other names, several networks, other kinds of
    tensors, numbers that are none.
    """
    _refuse_discriminator(tensors)
    layout = Layout.of(known)
    found = _prefixes(tensors, layout)
    ends = {end: prefix for prefix in found for end in layout.ends if f".{prefix}".endswith(f".{end}.") and end}
    stems = {prefix.removesuffix(f"{end}.") for end, prefix in ends.items()}
    own_ends = len(layout.ends) == len(found) == len(ends) and len(stems) == 1
    if not own_ends and len(found) > 1:
        names = ", ".join(prefix.rstrip(".") or "one without a name" for prefix in found)
        fail(f"it holds several networks that would fit ({names}); save one of them, or the ends alone")
    places = ends if own_ends else dict.fromkeys(layout.ends, found[0])
    named: Tensors = {}
    for end, prefix in places.items():
        for name in (name for name in tensors if name.startswith(prefix)):
            new = f"{end}.{name.removeprefix(prefix)}" if end else name.removeprefix(prefix)
            named[new] = _checked(name, tensors[name], known.get(new))
    return named, own_ends


def _refuse_discriminator(tensors: Tensors) -> None:
    for name in tensors:
        words = name.lower().split(".")
        if words[0] == "d" or any(word in _JUDGES or word.endswith("_discriminator") for word in words):
            fail(
                f"it holds a discriminator ({name}), which says of an image whether it looks like those it was trained "
                "on and is never used here; save the generator alone"
            )


def _prefixes(tensors: Tensors, layout: Layout) -> list[str]:
    """What stands before the names of a network, for each network in the file that has at least half of them."""
    counts = Counter[str]()
    for name in tensors:
        words = name.split(".")
        for cut in range(len(words)):
            if ".".join(words[cut:]) in layout.names:
                counts["".join(f"{word}." for word in words[:cut])] += 1
    found = sorted(prefix for prefix, count in counts.items() if count >= len(layout.names) / 2)
    if not found:
        known = max(counts.values(), default=0)
        example = sorted(layout.names)[0]
        fail(f"its names are not those of this network: of {len(layout.names)}, such as {example}, it has {known}")
    return found


def _checked(name: str, tensor: "torch.Tensor", known: "torch.Tensor | None") -> "torch.Tensor":
    if not tensor.is_floating_point():
        fail(f"{name} holds {str(tensor.dtype).removeprefix('torch.')}, not floating point numbers")
    if known is not None and (tensor.ndim != known.ndim or tensor.shape[2:] != known.shape[2:]):
        fail(f"{name} has the shape {tuple(tensor.shape)}, that of this network is {tuple(known.shape)}")
    if not bool(tensor.isfinite().all()):
        fail(f"{name} holds numbers that are none (NaN or infinite)")
    return tensor.float().clone().contiguous()
