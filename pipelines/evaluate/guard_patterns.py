"""Regular patterns that a network puts out by mistake: from how many HU on do the guards notice?

A pattern is added to what the network made of a slice of the held-out patient. It counts as noticed where any guard
fires.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..ct_denoise import CTDenoise
from .guard_cases import PERIODS, checkers, stripes

HEIGHTS_HU = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
FORMS: Mapping[str, Callable[[int, int], Tensor]] = {"checkerboard": checkers, "stripes": stripes}


@dataclass(frozen=True)
class Patterned:
    """One pattern: its form, the width of its squares or stripes in px, its height (+-HU), and whether it was seen."""

    form: str
    period: int
    height: float
    noticed: bool


@torch.inference_mode()
def patterned(pipeline: CTDenoise, stack: Tensor) -> Iterator[Patterned]:
    """Every pattern on one slice, (1, 3, N, N) HU, at the default parameters."""
    from dicomnode.enhance.api import Verdict
    from dicomnode.enhance.guards.chain import apply_guards, guards_of

    params = CTDenoise.Params()
    source, output = stack[:, 1].contiguous(), pipeline.enhance(stack, params)
    guards = guards_of(CTDenoise.guards, strength=params.strength, features=pipeline.features(stack))
    for name, form in FORMS.items():
        for period in PERIODS:
            shape = form(period, stack.shape[-1])
            for height in HEIGHTS_HU:
                _, (figures,) = apply_guards(guards, source, output + height * shape)
                yield Patterned(name, period, height, any(figure.verdict is not Verdict.PASS for figure in figures))
