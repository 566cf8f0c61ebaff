"""Distance in bottleneck features: how far a slice is from the training images in the network's own eyes."""

import functools
from collections.abc import Callable

import torch

from dicomnode.domain.verdict import GuardFigure
from dicomnode.enhance.guards.judge import judge
from dicomnode.enhance.limits import FeatureReference

NAME = "features"


def distance(features: torch.Tensor, reference: FeatureReference) -> torch.Tensor:
    """(B, F) -> (B,): the RMS of the projected features, about 1 for an image of the calibration (Mahalanobis)."""
    mean, projection = _tensors(reference, features.device)
    return ((features.float() - mean) @ projection.T).square().mean(1).sqrt()


@functools.lru_cache(maxsize=8)
def _tensors(reference: FeatureReference, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(reference.mean, device=device), torch.tensor(reference.projection, device=device)


def feature_distance(
    features: torch.Tensor, reference: FeatureReference
) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, list[GuardFigure]]]:
    """The guard for the features (B, F) of the batch it is applied to. The output is not changed."""
    values = distance(features, reference).tolist()
    reason = "the image is unlike those that the model was trained on"
    figures = [judge(NAME, value, reference.limits, unit="distance", reason=reason) for value in values]
    return lambda source, output: (output, figures)
