"""When a training run has gone wrong: said at once, and stopped where it cannot come back."""

import math
from collections.abc import Mapping

_LOST = 0.97
_CHANCE = 0.52
_PATIENCE = 10
_WORSE = 1.5
_FLAT = 0.25
_YOUNG = 1000


class Collapsed(Exception):
    """One plain sentence: what happened, and the way out."""


class Alarm:
    """Watches the means over a hundred steps.

    Fidelity that gets worse by half in the adversarial stage, an output without fine detail, and a number that is none
    end the run; a discriminator that always wins or always loses is said once each.
    """

    def __init__(self) -> None:
        self._fidelity = math.inf
        self._won = self._at_chance = 0

    def watch(self, stage: str, step: int, means: Mapping[str, float]) -> str | None:
        """A warning, or None. Raises Collapsed."""
        if not all(math.isfinite(value) for value in means.values()):
            raise Collapsed(f"step {step} of the {stage} stage gave a number that is none; lower the learning rate.")
        if stage == "pixel":
            self._fidelity = means["pixel"]
            return None
        if means["pixel"] > _WORSE * self._fidelity:
            raise Collapsed(
                f"by step {step} of the adversarial stage the fidelity loss had risen from {self._fidelity:.3f} to "
                f"{means['pixel']:.3f}; lower the adversarial weight."
            )
        if step > _YOUNG and means["detail"] < _FLAT:
            raise Collapsed(
                f"by step {step} of the adversarial stage the output had {means['detail']:.0%} of the detail of the "
                "targets; lower the adversarial weight or the discriminator's rate."
            )
        return self._balance(step, means["accuracy"])

    def _balance(self, step: int, accuracy: float) -> str | None:
        self._won = self._won + 1 if accuracy > _LOST else 0
        self._at_chance = self._at_chance + 1 if accuracy < _CHANCE else 0
        if self._won == _PATIENCE:
            return f"step {step}: the discriminator is right in {accuracy:.0%}; the generator learns nothing from it."
        if self._at_chance == _PATIENCE:
            return f"step {step}: the discriminator is right in {accuracy:.0%}: no better than chance."
        return None
