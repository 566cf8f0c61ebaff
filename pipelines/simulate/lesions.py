"""Small low-contrast structures, put into training targets and evaluation slices before the noise.

A denoiser that never sees a small faint lesion learns that small faint things are noise. Sizes are pixels (0.55 to
0.7 mm in the training data), contrasts HU.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.float32]


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float, edge: float = 0.6) -> Image:
    """The presence of a round lesion, 1 inside and 0 outside, over an edge of about `edge` px. (H, W)."""
    rows, columns = _offsets(shape, centre)
    return _presence(np.hypot(rows, columns) - radius, edge)


def random_lesions(rng: Generator, shape: tuple[int, int, int], mean_count: float = 6.0) -> tuple[Image, Image]:
    """HU to add to a stack of three slices, and the presence of any lesion in the centre slice. (3, H, W), (H, W)."""
    added = np.zeros(shape, np.float32)
    presence = np.zeros(shape[1:], np.float32)
    for _ in range(rng.poisson(mean_count)):
        form = _vessel(rng, shape[1:]) if rng.random() < 0.3 else _blob(rng, shape[1:])
        contrast = rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(np.log(5), np.log(100)))
        through = rng.uniform(0, 1, 2) if rng.random() < 0.6 else np.zeros(2)
        reach = np.array([through[0], 1, through[1]], np.float32)
        added += np.float32(contrast) * reach[:, None, None] * form
        presence = np.maximum(presence, form)
    return added, presence


def _blob(rng: Generator, shape: tuple[int, int]) -> Image:
    """An ellipse with a sharp or a soft edge, 1.2 to 9 px in radius."""
    rows, columns = _offsets(shape, (rng.uniform(0, shape[0]), rng.uniform(0, shape[1])))
    angle, ratio = rng.uniform(0, np.pi), rng.uniform(0.6, 1.0)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = (columns * np.cos(angle) - rows * np.sin(angle)) / ratio
    radius = np.exp(rng.uniform(np.log(1.2), np.log(9)))
    return _presence(np.hypot(along, across) - radius, rng.uniform(0.4, 1.2))


def _vessel(rng: Generator, shape: tuple[int, int]) -> Image:
    """A slightly bent tube across the image, 0.7 to 3 px in radius."""
    rows, columns = _offsets(shape, (rng.uniform(0, shape[0]), rng.uniform(0, shape[1])))
    angle, bend = rng.uniform(0, np.pi), rng.uniform(-0.01, 0.01)
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    radius = np.exp(rng.uniform(np.log(0.7), np.log(3)))
    inside = _presence(np.abs(across - bend * along**2) - radius, 0.5)
    ends = _presence(np.abs(along) - rng.uniform(8, 40), 2.0)
    form: Image = inside * ends
    return form


def _presence(distance: NDArray[np.floating], edge: float) -> Image:
    return np.asarray(1 / (1 + np.exp(np.clip(4 * distance / edge, -30, 30))), np.float32)


def _offsets(shape: tuple[int, int], centre: tuple[float, float]) -> tuple[Image, Image]:
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(shape[1], dtype=np.float32)[None] - np.float32(centre[1])
    return np.broadcast_to(rows, shape), np.broadcast_to(columns, shape)
