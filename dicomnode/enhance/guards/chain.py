"""The pixel guards of a pipeline, one after the other, on a batch.

Finite numbers first, since nothing can be said of others. Then the bound, then the low-pass part: so the mean is kept
exactly, and the bound is passed by no more than the low-pass part of the clipped residual.
"""

from collections.abc import Callable, Sequence

import torch

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.api import GuardLimits
from dicomnode.enhance.guards.finite import finite
from dicomnode.enhance.guards.low_frequency import low_frequency
from dicomnode.enhance.guards.residual_bound import residual_bound

Guard = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]
"""(source, output), both (B, H, W) in physical units -> (what may go out, one figure for each slice)."""


def guards_of(limits: GuardLimits) -> list[Guard]:
    """The guards that `limits` switches on; `finite` always."""
    guards: list[Guard] = [finite]
    if limits.residual_sigmas is not None:
        guards.append(residual_bound(limits.residual_sigmas, limits.clipped_share))
    if limits.low_frequency_sigma is not None:
        guards.append(low_frequency(limits.low_frequency_sigma, limits.low_frequency_bias))
    return guards


def apply_guards(
    guards: Sequence[Guard], source: torch.Tensor, output: torch.Tensor
) -> tuple[torch.Tensor, list[tuple[GuardFigure, ...]]]:
    """Run the guards in order; for each slice the figures of all of them."""
    columns: list[list[GuardFigure]] = []
    for guard in guards:
        output, figures = guard(source, output)
        columns.append(figures)
    return output, list(zip(*columns, strict=True))
