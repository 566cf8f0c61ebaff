"""Finite: a network that returns NaN or infinity has failed, whatever the other guards think of the rest."""

import torch

from dicomnode.domain.verdict import GuardFigure, Verdict

NAME = "finite"


def finite(source: torch.Tensor, output: torch.Tensor) -> tuple[torch.Tensor, list[GuardFigure]]:
    """Put the source where the output is not finite, and withhold each slice that has such a pixel.

    (B, H, W) float32 in physical units in and out; one figure for each slice: the number of such pixels. Where the
    grids differ (a pipeline that changes resolution) zeros take the place of what is not finite.
    """
    good = torch.isfinite(output)
    counts = (~good).flatten(1).sum(1).tolist()
    if any(counts):
        output = torch.where(good, output, source if source.shape == output.shape else torch.zeros_like(output))
    return output, [_figure(int(count)) for count in counts]


def _figure(count: int) -> GuardFigure:
    if count == 0:
        return GuardFigure(NAME, Verdict.PASS, 0, 0, "pixels")
    reason = f"the network returned {count} pixels that are not finite numbers"
    return GuardFigure(NAME, Verdict.WITHHOLD, count, 0, "pixels", reason)
