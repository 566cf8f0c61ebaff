"""How the weights were trained, as their file says: above all how even the game of the two networks was."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import safe_open

from .bench import Bench

BAND = (0.55, 0.85)
"""How often a discriminator should be right: below it judges nothing, above it teaches nothing."""


@dataclass(frozen=True)
class Training:
    """The facts that the trainer wrote into the file of weights."""

    facts: Mapping[str, Any]
    title = "How it was trained"

    @property
    def accuracy(self) -> tuple[float, float, float] | None:
        """Least, mean and most of the discriminator's accuracy; None where the file does not say."""
        names = [f"discriminator_accuracy_{name}" for name in ("least", "mean", "most")]
        if any(name not in self.facts for name in names):
            return None
        least, mean, most = (float(self.facts[name]) for name in names)
        return least, mean, most

    @property
    def outside(self) -> float | None:
        """How far the accuracy went out of its band; negative inside."""
        return None if self.accuracy is None else max(BAND[0] - self.accuracy[0], self.accuracy[2] - BAND[1])

    def markdown(self) -> str:
        """Steps, device, and the discriminator's accuracy."""
        facts = self.facts
        text = (
            f"{facts.get('pixel_steps')} pixel steps and {facts.get('adversarial_steps')} adversarial steps of "
            f"{facts.get('batch')} crops of {facts.get('crop')} px, width {facts.get('width')}, on "
            f"{facts.get('device', 'cpu')}."
        )
        if self.accuracy is None:
            return text
        least, mean, most = self.accuracy
        return (
            f"{text} The discriminator was right in {least:.1%} to {most:.1%} of its patches (means over 100 steps; "
            f"{mean:.1%} over all), the first tenth of its stage left out, in which it begins at chance. The losses "
            "are in a file beside the weights, their curves above."
        )


def measure_training(bench: Bench) -> Training:
    """Read the facts out of the weights' file."""
    with safe_open(bench.weights, framework="pt") as file:
        return Training(json.loads((file.metadata() or {}).get("training", "{}")))
