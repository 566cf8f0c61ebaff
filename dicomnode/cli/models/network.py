"""The network in a file from elsewhere, judged, and as the bytes that will be used."""

from dataclasses import dataclass
from pathlib import Path

from dicomnode.cli.common import fail
from dicomnode.cli.models.checkpoint import read_tensors
from dicomnode.cli.models.generator import generator_of
from dicomnode.cli.models.golden_case import golden_of_tensors
from dicomnode.enhance.card import Golden
from dicomnode.enhance.registry import Entry

_MOST_SHIFT, _MOST_SPREAD = 25.0, 100.0
"""Of what a network makes of noise about 0 with a standard deviation of 50: beyond, it was not made for these units."""


@dataclass(frozen=True)
class Network:
    """`weights` is a safetensors file; `own_ends` says whether each end of the pipeline has tensors of its own."""

    weights: bytes
    parameters: int
    golden: Golden
    own_ends: bool


def network_of(entry: Entry, file: Path, *, as_it_is: bool) -> Network:
    """Read a file's tensors and fit them into the network of `entry`. Raises CommandFailed with one sentence.

    With `as_it_is` a file that needs no change keeps its bytes, and with them its sha256; else only the tensors of the
    network are kept, and nothing of what else the file holds.
    """
    from safetensors.torch import load_file, save

    assert entry.weights is not None
    tensors = read_tensors(file)
    named, own_ends = generator_of(tensors, load_file(entry.weights))
    golden = golden_of_tensors(entry, named)
    if abs(golden.mean) > _MOST_SHIFT or golden.std > _MOST_SPREAD:
        fail(
            f"the network makes {golden.mean:.0f} +- {golden.std:.0f} of noise of 0 +- 50: it is not trained, or not "
            f"for the units of {entry.name}"
        )
    unchanged = {name: each.dtype for name, each in tensors.items()} == {name: n.dtype for name, n in named.items()}
    keep = as_it_is and unchanged and file.suffix == ".safetensors"
    weights = file.read_bytes() if keep else save(named, metadata={"format": "pt"})
    return Network(weights, sum(each.numel() for each in named.values()), golden, own_ends)
