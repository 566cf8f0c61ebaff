"""The pixel guards of a pipeline, one after the other, on a batch.

Finite numbers first, since nothing can be said of others. Then the input, which no guard changes. Then the bound and
the low-pass part: so the mean is kept exactly, and the bound is passed by no more than the low-pass part of the clipped
residual. Those that judge the change come last and see what may really go out.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards import input_statistics
from dicomnode.enhance.guards.features import feature_distance
from dicomnode.enhance.guards.finite import finite
from dicomnode.enhance.guards.low_frequency import low_frequency
from dicomnode.enhance.guards.once import Once
from dicomnode.enhance.guards.pattern import pattern
from dicomnode.enhance.guards.residual_bound import local_sigma, residual_bound
from dicomnode.enhance.guards.structure import structure
from dicomnode.enhance.guards.too_little_too_much import Noise, too_little_too_much
from dicomnode.enhance.guards.typical_noise import typical_noise
from dicomnode.enhance.limits import GuardLimits

Guard = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]
"""(source, output), both (B, H, W) in physical units -> (what may go out, one figure for each slice)."""


def guards_of(limits: GuardLimits, *, strength: float = 1.0, features: torch.Tensor | None = None) -> list[Guard]:
    """The guards that `limits` switches on; `finite` always.

    `strength` is the pipeline's parameter of that name: with 0 nothing may change, and the change is not judged.
    `features` (B, F) are those of the batch that the guards will see; without them their distance is not judged.
    """
    noise = Once(local_sigma)
    guards: list[Guard] = [finite, *_of_the_input(limits, noise)]
    if limits.features is not None and features is not None:
        guards.append(feature_distance(features, limits.features))
    if limits.residual_sigmas is not None:
        guards.append(residual_bound(limits.residual_sigmas, limits.clipped_share, noise))
    if limits.low_frequency_sigma is not None:
        guards.append(low_frequency(limits.low_frequency_sigma, limits.low_frequency_bias))
    return [*guards, *_of_the_change(limits, noise, strength)]


def _of_the_input(limits: GuardLimits, noise: Noise) -> Iterator[Guard]:
    measured = Once(partial(input_statistics.measure, body_above=limits.body_above))
    if limits.noise_sigma is not None:
        yield input_statistics.input_noise(measured, limits.noise_sigma)
    if limits.typical_noise is not None:
        yield typical_noise(noise, limits.typical_noise)
    if limits.noise_frequency is not None:
        yield input_statistics.input_grain(measured, limits.noise_frequency)
    if limits.noise_tail is not None:
        yield input_statistics.input_kernel(measured, limits.noise_tail)
    if limits.body_share is not None:
        yield input_statistics.body_share(measured, limits.body_share)


def _of_the_change(limits: GuardLimits, noise: Noise, strength: float) -> Iterator[Guard]:
    if strength <= 0:
        return
    if limits.change is not None:
        yield too_little_too_much(noise, limits.change, limits.body_above, strength)
    yield from structure(noise, limits, strength)
    if limits.pattern is not None:
        yield pattern(limits.pattern, limits.body_above)


def apply_guards(
    guards: Sequence[Guard], source: torch.Tensor, output: torch.Tensor
) -> tuple[torch.Tensor, list[tuple[GuardFigure, ...]]]:
    """Run the guards in order; for each slice the figures of all of them."""
    columns: list[list[GuardFigure]] = []
    for guard in guards:
        output, figures = guard(source, output)
        columns.append(figures)
    return output, list(zip(*columns, strict=True))
