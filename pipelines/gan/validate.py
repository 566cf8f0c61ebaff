"""Validation on the training patients' slabs: what every choice is made on. The held-out patient is never here."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture

from ..evaluate.contrast import DISCS, Image, kept
from ..evaluate.figures import psnr, rmse
from ..evaluate.heldout import Slice
from ..evaluate.texture import noise_texture
from .state import State

_STRIP_HU = (-160.0, 240.0)
_STRIP = 128


class Validation:
    """A few slices at a low dose."""

    def __init__(self, slices: list[Slice]) -> None:
        self._slices = slices

    def report(self, state: State, folder: Path) -> str:
        """The figures of the averaged generator: a row of `validation.csv`, a sample strip, and a line to print."""
        network = state.average.eval()

        @torch.no_grad()
        def method(stack: Image) -> Image:
            with state.autocast():
                output: Image = network(torch.from_numpy(stack)[None].to(state.device))[0].cpu().numpy()
            return output

        outputs = [(method(one.noisy), one) for one in self._slices]
        shares = [kept(method, one.noisy, one.places) for one in self._slices if one.places]
        textures = [noise_texture(output, one.places) for output, one in outputs if one.places]
        row = {
            "stage": state.stage,
            "step": str(state.step),
            "psnr": f"{np.mean([psnr(output, one.clean) for output, one in outputs]):.3f}",
            "rmse": f"{np.mean([rmse(output, one.clean, one.inside) for output, one in outputs]):.3f}",
            "noise": f"{np.mean([noise for noise, _ in textures]):.2f}",
            "grain": f"{np.mean([grain for _, grain in textures]):.4f}",
        }
        row |= {f"kept_r{r}_{c}hu": f"{np.mean([share[r, c] for share in shares]):.3f}" for r, c in DISCS}
        _append(folder / "validation.csv", row)
        strips = [_strip(one.noisy[1], output, one.clean) for output, one in outputs]
        (folder / "samples").mkdir(parents=True, exist_ok=True)
        Picture.fromarray(np.vstack(strips)).save(folder / "samples" / f"{state.stage}-{state.step:06d}.png")
        return "validation " + " ".join(f"{name}={value}" for name, value in row.items())


def _append(path: Path, row: dict[str, str]) -> None:
    """A line for each step: one that a killed run wrote is replaced when the step is done again."""
    rows = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows = [old for old in csv.DictReader(file) if (old["stage"], old["step"]) != (row["stage"], row["step"])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerows([*rows, row])


def _strip(noisy: Image, output: Image, clean: Image) -> Image:
    """The middle of a slice at a low dose, enhanced, at full dose, and what was changed, side by side; 8 bit grey."""
    top, left = ((length - _STRIP) // 2 for length in clean.shape)
    low, high = _STRIP_HU
    windowed = [(image.clip(low, high) - low) / (high - low) for image in (noisy, output, clean)]
    changed = ((output - noisy) / (high - low) + 0.5).clip(0, 1)
    crops = [image[top : top + _STRIP, left : left + _STRIP] for image in (*windowed, changed)]
    strip: Image = (np.hstack(crops) * 255).astype(np.uint8)
    return strip
