"""Weights: verified against their card, read by safetensors alone. Nothing here can run code from a file."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from dicomnode.enhance.card import ModelCard
from dicomnode.enhance.errors import WeightsRefused
from dicomnode.enhance.registry import Entry

if TYPE_CHECKING:
    import torch


def verify(entry: Entry) -> ModelCard | None:
    """Check that the weights' bytes are those of the card; None for a pipeline without weights.

    Raises WeightsRefused with one sentence: a broken entry, a missing file, a missing or unfitting card, other bytes.
    """
    if entry.pipeline is None or entry.error:
        raise WeightsRefused(f"pipeline {entry.name} cannot be verified: {entry.error}")
    if entry.card is None or entry.weights is None:
        return None
    _verified_bytes(entry.weights, entry.card.weights.sha256)
    return entry.card


def load_weights(path: Path, expected_sha256: str) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file, on the CPU, if its SHA-256 (hex) is the expected one.

    The bytes that were hashed are the bytes that are parsed. Raises WeightsRefused with one sentence.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = _verified_bytes(path, expected_sha256)
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WeightsRefused(f"the weights {path.name} are not a safetensors file") from error
    return tensors


def _verified_bytes(path: Path, expected_sha256: str) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise WeightsRefused(f"the weights {path.name} are missing") from None
    except OSError as error:
        raise WeightsRefused(f"the weights {path.name} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected_sha256:
        raise WeightsRefused(
            f"the weights {path.name} are not those of their model card (sha256 {found[:12]} instead of"
            f" {expected_sha256[:12]})"
        )
    return data
