"""Weights trained without one of the bodies, so that each body can be judged by a network that never saw it."""

from pathlib import Path

from ..simulate.bank import HELDOUT


def fold_path(weights: Path, body: str) -> Path:
    """Where the network lies that was trained without `body`."""
    return weights.parent / "folds" / f"{weights.stem}-without-{body}.safetensors"


def unseen(body: str, weights: Path) -> Path | None:
    """The file of weights trained without `body`: the shipped one for the held-out patient; None if there is none."""
    if body == HELDOUT:
        return weights
    path = fold_path(weights, body)
    return path if path.exists() else None
