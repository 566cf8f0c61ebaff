"""Small low-contrast structures, put into training targets and evaluation slices before the noise.

A denoiser that never sees a small faint lesion learns that small faint things are noise. Sizes are pixels (0.55 to
0.7 mm in the training data), contrasts HU. What is drawn is a few numbers for each lesion, on the host, so that every
device gets the same ones; what they look like is computed on the device.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

Image = NDArray[np.float32]
_COLUMNS = ("row", "column", "angle", "across", "bend", "radius", "edge", "half_length", "contrast", "below", "above")


@dataclass(frozen=True)
class Lesions:
    """The lesions of a batch of crops: `crop` (K,) int64, and the columns of `_COLUMNS` (K, 11) float32."""

    crop: NDArray[np.int64]
    columns: NDArray[np.float32]


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float, edge: float = 0.6) -> Image:
    """The presence of a round lesion, 1 inside and 0 outside, over an edge of about `edge` px. (H, W)."""
    rows = np.arange(shape[0], dtype=np.float32)[:, None] - np.float32(centre[0])
    columns = np.arange(shape[1], dtype=np.float32)[None] - np.float32(centre[1])
    distance = np.hypot(rows, columns) - radius
    return np.asarray(1 / (1 + np.exp(np.clip(4 * distance / edge, -30, 30))), np.float32)


def random_lesions(rng: Generator, crops: int, size: int, mean_count: float = 6.0) -> Lesions:
    """Lesions for `crops` crops of `size` px, `mean_count` to a crop on average."""
    counts = rng.poisson(mean_count, crops)
    rows = [_lesion(rng, size) for _ in range(int(counts.sum()))]
    columns = np.array(rows, np.float32).reshape(-1, len(_COLUMNS))
    return Lesions(np.repeat(np.arange(crops), counts), columns)


def _lesion(rng: Generator, size: int) -> tuple[float, ...]:
    """A blob (an ellipse of 1.2 to 9 px with a sharp or soft edge) or a vessel (a bent tube of 0.7 to 3 px)."""
    row, column = rng.uniform(0, size, 2)
    angle, contrast = rng.uniform(0, np.pi), rng.choice([-1.0, 1.0]) * np.exp(rng.uniform(np.log(5), np.log(100)))
    below, above = rng.uniform(0, 1, 2) if rng.random() < 0.6 else (0.0, 0.0)
    if rng.random() < 0.3:
        radius, bend, length = np.exp(rng.uniform(np.log(0.7), np.log(3))), rng.uniform(-0.01, 0.01), rng.uniform(8, 40)
        form = (0.0, bend, radius, 0.5, length)
    else:
        radius = np.exp(rng.uniform(np.log(1.2), np.log(9)))
        form = (1 / rng.uniform(0.6, 1.0), 0.0, radius, rng.uniform(0.4, 1.2), 0.0)
    return (row, column, angle, *form, contrast, below, above)


def render(lesions: Lesions, crops: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """HU to add to stacks of three slices, and the presence of any lesion in the centre. (B, 3, S, S), (B, S, S)."""
    added = torch.zeros(crops, 3, size, size, device=device)
    presence = torch.zeros(crops, size, size, device=device)
    if len(lesions.crop) == 0:
        return added, presence
    crop = torch.from_numpy(lesions.crop).to(device)
    table = torch.from_numpy(lesions.columns).to(device)
    form = _forms(table, size)
    contrast, below, above = (table[:, _COLUMNS.index(name)] for name in ("contrast", "below", "above"))
    reach = torch.stack([below, torch.ones_like(below), above], 1) * contrast[:, None]
    added.index_add_(0, crop, reach[:, :, None, None] * form[:, None])
    return added, presence.scatter_reduce_(0, crop[:, None, None].expand_as(form), form, "amax")


def _forms(table: Tensor, size: int) -> Tensor:
    """The presence of each lesion alone, (K, S, S): where `across` is 0 a tube with ends, else an ellipse."""
    axis = torch.arange(size, device=table.device, dtype=torch.float32)
    row, column, angle, across, bend, radius, edge, length = (value[:, None, None] for value in table[:, :8].unbind(1))
    rows, columns = axis[None, :, None] - row, axis[None, None, :] - column
    along = rows * torch.cos(angle) + columns * torch.sin(angle)
    aside = columns * torch.cos(angle) - rows * torch.sin(angle)
    tube = across == 0
    distance = torch.where(tube, (aside - bend * along * along).abs(), torch.hypot(along, aside * across))
    form = torch.sigmoid((radius - distance) * (4 / edge))
    return form * torch.where(tube, torch.sigmoid((length - along.abs()) * 2), torch.ones_like(form))
