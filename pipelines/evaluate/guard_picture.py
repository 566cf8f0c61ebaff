"""The detection curve of planted discs as a small indexed PNG."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from .guard_blobs import RADII, Planted, curve
from .guard_rates import LEAST_OUTSIDE, rate

_COLOURS = 16


def write_picture(discs: Sequence[Planted], path: Path) -> None:
    """Share noticed over contrast to noise, a line for each radius, with exact 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    for radius in RADII:
        rows = curve(discs, radius)
        middle = [(low + high) / 2 for low, high, _ in rows]
        rates = [rate(noticed) for _, _, noticed in rows]
        shares = np.array([found.share for found in rates])
        bounds = np.array([found.interval for found in rates]).reshape(-1, 2)
        errors = [(shares - bounds[:, 0]).clip(0), (bounds[:, 1] - shares).clip(0)]
        axes.errorbar(middle, shares, errors, marker="o", markersize=3, capsize=2, label=f"{radius:g} px")
    axes.axhline(LEAST_OUTSIDE, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="contrast over the local noise of the input", ylabel="share noticed", ylim=(-0.02, 1.02))
    axes.legend(title="radius", loc="lower right")
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.open(buffer).convert("RGB").quantize(_COLOURS).save(path, optimize=True)
