"""How weights fare on a hospital's validation slices, before and after training there."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..ct_denoise import CTDenoise
from ..evaluate.contrast import DISCS, kept
from ..evaluate.figures import psnr, rmse, ssim
from ..evaluate.heldout import Slice
from ..evaluate.methods import Method, Network, unchanged
from ..evaluate.texture import noise_texture


def figures(slices: Sequence[Slice], weights: Mapping[str, Path | None]) -> list[dict[str, Any]]:
    """A row for the noisy input and for each named file of weights at the pipeline's default parameters.

    Means over the slices: PSNR dB, SSIM, RMSE HU in the body, noise HU and grain cycles/px in flat tissue, and the
    share of contrast kept of small discs (radius px, contrast HU). Without flat tissue the last three are None.
    """
    params = CTDenoise.Params()
    methods: dict[str, Method] = {"input": unchanged}
    for name, path in weights.items():
        if path is not None:
            methods[name] = Network(path).at(params.strength, params.texture)
    return [{"network": name} | _row(method, slices) for name, method in methods.items()]


def mean(values: Sequence[float], digits: int) -> float | None:
    """Rounded mean; None of nothing, or where it is not finite (the PSNR of equal images), which JSON does not know."""
    found = float(np.mean(values)) if values else math.inf
    return round(found, digits) if math.isfinite(found) else None


def _row(method: Method, slices: Sequence[Slice]) -> dict[str, Any]:
    pairs = [(method(one.noisy), one) for one in slices]
    flat = [(image, one) for image, one in pairs if one.places]
    textures = [noise_texture(image, one.places) for image, one in flat]
    shares = [kept(method, one.noisy, one.places) for _, one in flat]
    return {
        "psnr": mean([psnr(image, one.clean) for image, one in pairs], 2),
        "ssim": mean([ssim(image, one.clean, one.inside) for image, one in pairs], 4),
        "rmse": mean([rmse(image, one.clean, one.inside) for image, one in pairs], 2),
        "noise": mean([noise for noise, _ in textures], 2),
        "grain": mean([grain for _, grain in textures], 4),
        **{f"r{r} {c} HU": mean([share[r, c] for share in shares], 3) for r, c in DISCS},
    }
