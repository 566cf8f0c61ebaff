"""Slices side by side as small indexed grey PNG."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from .bench import Bench, at_strength
from .figures import SOFT_TISSUE_HU
from .methods import ENDS

Image = NDArray[np.float32]
SHOWN = 5
"""Rank of the held-out slice that is shown: through the heart."""
DIFFERENCE_HU = (-100.0, 100.0)
_CROP = 208
_LEVELS = 32
_DIFFERENCE_LEVELS = 16
_LABEL = 14


def write_pictures(bench: Bench, directory: Path) -> list[Path]:
    """`slice.png` and `differences.png`: the middle of one slice by every method, and what each changed."""
    one, best = bench.slices[SHOWN % len(bench.slices)], bench.classical.name
    row = bench.slices.index(one)
    images = {"input": one.noisy[1], best: bench.outputs[best].image(row, 1.0)}
    images |= {at_strength(end, bench.strength): bench.outputs[end].image(row, bench.strength) for end in ENDS}
    images["full dose"] = one.clean
    changes = {f"{name} - full dose": image - one.clean for name, image in images.items() if name != "full dose"}
    top, left = _corner(one.inside)
    return [
        strip(images, (top, left), SOFT_TISSUE_HU, _LEVELS, directory / "slice.png"),
        strip(changes, (top, left), DIFFERENCE_HU, _DIFFERENCE_LEVELS, directory / "differences.png"),
    ]


def strip(
    images: Mapping[str, Image], corner: tuple[int, int], window: tuple[float, float], levels: int, path: Path
) -> Path:
    """The same crop of every image side by side under its name, in so many greys; written to `path`."""
    low, high = window
    top, left = corner
    crops = [image[top : top + _CROP, left : left + _CROP] for image in images.values()]
    grey = np.hstack([((crop - low) / (high - low)).clip(0, 1) for crop in crops])
    shades = np.rint(grey * (levels - 1)).astype(np.uint8)
    picture = Picture.fromarray(np.pad(shades, ((_LABEL, 0), (0, 0))), mode="P")
    picture.putpalette([value for level in range(levels) for value in [round(255 * level / (levels - 1))] * 3])
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(images):
        draw.text((number * crops[0].shape[1] + 3, 1), name, fill=levels - 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
    return path


def _corner(inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Of a crop in the middle of the patient."""
    middle = [int(np.flatnonzero(inside.any(axis)).mean()) for axis in (1, 0)]
    top, left = (int(np.clip(m - _CROP // 2, 0, n - _CROP)) for m, n in zip(middle, inside.shape, strict=True))
    return top, left
