"""What one training run is: every number that shapes the weights."""

from dataclasses import dataclass
from typing import Literal

Stage = Literal["pixel", "adversarial"]
STAGES: tuple[Stage, ...] = ("pixel", "adversarial")


@dataclass(frozen=True)
class Plan:
    """The committed run takes about an hour of one core that is fast at bfloat16."""

    seed: int = 1
    width: int = 16
    batch: int = 8
    crop: int = 96
    pixel_steps: int = 30_000
    adversarial_steps: int = 6_000
    pixel_rate: float = 1e-3
    adversarial_rate: float = 1e-4
    discriminator_ratio: float = 4.0
    """The discriminator learns this many times faster than the generator."""
    discriminator_layers: int = 2
    """Two see 18 px: grain, and hardly anatomy. A discriminator that judges shapes teaches to draw them."""
    discriminator_rest: float = 0.75
    """The discriminator rests while it is right more often than this: one that always wins teaches nothing."""
    penalty_every: int = 16
    penalty_weight: float = 0.2
    """Of the squared gradient of the discriminator at real slices (R1; Mescheder et al., 2018)."""
    final_rate: float = 0.03
    """Rates fall along a cosine to this share of themselves."""
    pixel_lesion_weight: float = 16.0
    """How much more a pixel of a lesion counts than another."""
    adversarial_lesion_weight: float = 40.0
    gradient_weight: float = 0.1
    adversarial_weight: float = 0.015
    """Light. Against a discriminator of 38 px, 0.02 made the generator draw short vessels that were not there."""
    feature_weight: float = 0.05
    ema: float = 0.999
    checkpoint_every: int = 500
    validate_every: int = 1000

    def steps(self, stage: Stage) -> int:
        """How many steps a stage has."""
        return self.pixel_steps if stage == "pixel" else self.adversarial_steps

    def lesion_weight(self, stage: Stage) -> float:
        """The weight of a lesion's pixels in a stage; the others have 1."""
        return self.pixel_lesion_weight if stage == "pixel" else self.adversarial_lesion_weight
