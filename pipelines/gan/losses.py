"""The losses. Images are (B, H, W); distances are counted in a task's `unit` (40 HU for CT)."""

import torch
from torch import Tensor
from torch.nn import functional

_CHARBONNIER = 2.0


def charbonnier(output: Tensor, target: Tensor, weight: Tensor, unit: float) -> Tensor:
    """Weighted mean of sqrt(d^2 + e^2) - e: squared below e = 2 units, absolute above (Charbonnier et al., 1994)."""
    distance = (output - target) / unit
    loss = torch.sqrt(distance * distance + _CHARBONNIER**2) - _CHARBONNIER
    return (loss * weight).sum() / weight.sum()


def gradient(output: Tensor, target: Tensor, unit: float) -> Tensor:
    """Mean absolute difference of the finite differences along rows and columns: keeps edges steep."""
    distance = (output - target) / unit
    rows = (distance[:, 1:] - distance[:, :-1]).abs().mean()
    columns = (distance[:, :, 1:] - distance[:, :, :-1]).abs().mean()
    return rows + columns


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the discriminator; 2 at chance."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """The generator wants its patches scored as real."""
    return -fake.mean()


def gradient_penalty(scores: Tensor, image: Tensor, unit: float) -> Tensor:
    """Mean squared gradient of the scores at real images, per unit of intensity (R1; Mescheder et al., 2018)."""
    slope: Tensor = torch.autograd.grad(scores.sum(), image, create_graph=True)[0]
    return (slope * unit).square().sum((1, 2)).mean()


def feature_matching(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    """Mean absolute difference of the discriminator's features (Wang et al., pix2pixHD, 2018)."""
    return torch.stack([(a.detach() - b).abs().mean() for a, b in zip(real, fake, strict=True)]).mean()


def accuracy(real: Tensor, fake: Tensor) -> float:
    """Share of patches that the discriminator takes for what they are; 0.5 at chance."""
    return float(((real > 0).float().mean() + (fake < 0).float().mean()) / 2)
