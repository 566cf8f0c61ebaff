"""The losses. Images are (B, H, W) in HU; distances are counted in units of 40 HU."""

import torch
from torch import Tensor
from torch.nn import functional

_UNIT_HU = 40.0
_CHARBONNIER = 0.75


def charbonnier(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of sqrt(d^2 + e^2) - e: squared below about 30 HU, absolute above (Charbonnier et al., 1994)."""
    distance = (output - target) / _UNIT_HU
    loss = torch.sqrt(distance * distance + _CHARBONNIER**2) - _CHARBONNIER
    return (loss * weight).sum() / weight.sum()


def gradient(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of the finite differences along rows and columns: keeps edges steep."""
    distance = (output - target) / _UNIT_HU
    rows = (distance[:, 1:] - distance[:, :-1]).abs().mean()
    columns = (distance[:, :, 1:] - distance[:, :, :-1]).abs().mean()
    return rows + columns


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the discriminator; 2 at chance."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """The generator wants its patches scored as real."""
    return -fake.mean()


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the discriminator's features (Wang et al., pix2pixHD, 2018)."""
    return torch.stack([(a.detach() - b).abs().mean() for a, b in zip(real, fake, strict=True)]).mean()


def accuracy(real: Tensor, fake: Tensor) -> float:
    """Share of patches that the discriminator takes for what they are; 0.5 at chance."""
    return float(((real > 0).float().mean() + (fake < 0).float().mean()) / 2)
