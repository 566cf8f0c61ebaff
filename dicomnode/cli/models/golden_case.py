"""The golden case of new weights: they are loaded into their pipeline as the node will, and what comes out is noted."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.cli.common import fail
from dicomnode.enhance.card import Golden
from dicomnode.enhance.registry import Entry

if TYPE_CHECKING:
    import torch

_SEED = 7
_PIXELS = 64
_PROBES = 8
_TOLERANCE = 0.05


def golden_of(entry: Entry, weights: Path) -> Golden:
    """Load a safetensors file into the pipeline on the CPU and measure its golden case.

    Raises CommandFailed with one sentence if the weights do not fit the network or its output is not finite.
    """
    from safetensors.torch import load_file

    return golden_of_tensors(entry, load_file(weights))


def golden_of_tensors(entry: Entry, tensors: "dict[str, torch.Tensor]") -> Golden:
    """The same of tensors by name."""
    import torch

    from dicomnode.enhance import golden

    pipeline, cpu = entry.create(), torch.device("cpu")
    shape = (1, 2 * pipeline.neighbours + 1, _PIXELS, _PIXELS)
    try:
        pipeline.load(tensors, cpu)
        found = golden.measure(pipeline, cpu, seed=_SEED, shape=shape, tolerance=_TOLERANCE, probes=_PROBES)
    except Exception as error:  # whatever a network says of weights that are not its own
        fail(f"the weights do not fit the network of {entry.name}: {_why(str(error))}")
    if not all(map(_finite, (found.mean, found.std, *found.probe))):
        fail("the weights give numbers that are none for a plain input")
    return Golden(
        seed=found.seed,
        shape=found.shape,
        mean=round(found.mean, 5),
        std=round(found.std, 5),
        probe=tuple(round(value, 4) for value in found.probe),
        tolerance=found.tolerance,
    )


_SAYINGS = {
    r'Missing key\(s\) in state_dict: "([^"]+)"': "{} is missing",
    r'Unexpected key\(s\) in state_dict: "([^"]+)"': "it has no {}",
    r"size mismatch for (\S+):": "{} has another shape",
}
"""What torch says at length when a network is given tensors that are not its own."""


def _why(message: str) -> str:
    for pattern, words in _SAYINGS.items():
        if found := re.search(pattern, message):
            return words.format(found.group(1))
    return " ".join(message.split())[:200]


def _finite(value: float) -> bool:
    return value - value == 0
