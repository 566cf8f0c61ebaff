"""Typical noise: the median over the slice of the local noise, held against what the model was calibrated on.

The flattest tiles, where `input noise` is measured, lie where the anatomy puts them: their noise varies fourfold over
a patient. The median over all tiles that have any noise varies half as much, so that more noise than usual shows in
slices of thin parts too.
"""

from collections.abc import Callable

import torch

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge_band
from dicomnode.enhance.guards.too_little_too_much import Noise
from dicomnode.enhance.limits import Band

NAME = "typical noise"


def typical_noise(
    noise: Noise, band: Band
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard that holds the typical noise, in physical units, against a band. The output is not changed."""

    def guard(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
        values = noise(source)[1].flatten().tolist()
        what = "the typical noise"
        return output, [judge_band(NAME, value, band, unit="physical units", what=what) for value in values]

    return guard
