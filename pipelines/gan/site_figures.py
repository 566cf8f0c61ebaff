"""How weights fare on a hospital's validation slices, before and after training there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..ct_denoise import CTDenoise
from ..evaluate.contrast import DISCS, kept
from ..evaluate.figures import psnr, rmse, ssim
from ..evaluate.heldout import Slice
from ..evaluate.methods import Method, Network, unchanged
from ..evaluate.texture import noise_texture


def figures(slices: Sequence[Slice], weights: Mapping[str, Path | None]) -> list[dict[str, str]]:
    """A row for the noisy input and for each named file of weights at the pipeline's default parameters.

    Means over the slices: PSNR dB, SSIM, RMSE HU in the body, noise HU and grain cycles/px in flat tissue, and the
    share of contrast kept of small discs (radius px, contrast HU). Without flat tissue the last three are empty.
    """
    params = CTDenoise.Params()
    methods: dict[str, Method] = {"input": unchanged}
    for name, path in weights.items():
        if path is not None:
            methods[name] = Network(path).at(params.strength, params.texture)
    return [{"network": name} | _row(method, slices) for name, method in methods.items()]


def _row(method: Method, slices: Sequence[Slice]) -> dict[str, str]:
    images = [method(one.noisy) for one in slices]
    pairs = list(zip(images, slices, strict=True))
    flat = [(image, one) for image, one in pairs if one.places]
    textures = [noise_texture(image, one.places) for image, one in flat]
    shares = [kept(method, one.noisy, one.places) for _, one in flat]
    row = {
        "psnr": f"{np.mean([psnr(image, one.clean) for image, one in pairs]):.2f}",
        "ssim": f"{np.mean([ssim(image, one.clean, one.inside) for image, one in pairs]):.3f}",
        "rmse": f"{np.mean([rmse(image, one.clean, one.inside) for image, one in pairs]):.1f}",
        "noise": f"{np.mean([noise for noise, _ in textures]):.1f}" if flat else "",
        "grain": f"{np.mean([grain for _, grain in textures]):.3f}" if flat else "",
    }
    return row | {f"r{r} {c} HU": f"{np.mean([s[r, c] for s in shares]):.2f}" if flat else "" for r, c in DISCS}
