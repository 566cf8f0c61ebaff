"""Low-frequency consistency: what is denoised must not shift large areas, so the mean HU is kept by construction."""

from collections.abc import Callable

import torch

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge
from dicomnode.enhance.guards.smooth import low_pass

NAME = "low frequency"


def low_frequency(
    sigma: float, limits: tuple[float, float]
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard that removes the residual's low-pass part (Gaussian, `sigma` pixels) from the output.

    (B, H, W) float32 in physical units in and out: y - lowpass(y - x). The mean of each slice is that of the source
    afterwards. The figure is the largest absolute value of what was removed, held against (flag, withhold above).
    """

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        shift = low_pass(output - source, sigma)
        return output - shift, [_figure(value, limits) for value in shift.abs().flatten(1).amax(1).tolist()]

    return guard


def _figure(value: float, limits: tuple[float, float]) -> GuardFigure:
    reason = f"the network shifted an area by {value:.1f} before this was taken back"
    return judge(NAME, value, limits, unit="physical units", reason=reason)
