"""Weights trained without one of the bodies, so that each body can be judged by a network that never saw it."""

from pathlib import Path

from ..simulate.bank import HELDOUT


def unseen(body: str, weights: Path) -> Path | None:
    """The file of weights trained without `body`: the shipped one for the held-out patient; None if there is none."""
    if body == HELDOUT:
        return weights
    path = weights.parent / "folds" / f"{weights.stem}-without-{body}.safetensors"
    return path if path.exists() else None
