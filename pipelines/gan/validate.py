"""Validation on the training patients' slabs: what every choice is made on. The held-out patient is never here."""

import csv
from pathlib import Path

import numpy as np
import torch

from ..evaluate.contrast import DISCS, Image, kept
from ..evaluate.figures import psnr, rmse
from ..evaluate.heldout import tuning
from .state import State


class Validation:
    """A few slices at a low dose."""

    def __init__(self, data: Path) -> None:
        """Simulate the slices. Raises DataError."""
        self._slices = tuning(data)

    def report(self, state: State, path: Path) -> None:
        """Append the figures of the averaged generator to a CSV file and print them."""
        network = state.average.eval()

        @torch.no_grad()
        def method(stack: Image) -> Image:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output: Image = network(torch.from_numpy(stack)[None])[0].numpy()
            return output

        outputs = [(method(one.noisy), one) for one in self._slices]
        shares = [kept(method, one.noisy, one.places) for one in self._slices if one.places]
        row = {
            "stage": state.stage,
            "step": str(state.step),
            "psnr": f"{np.mean([psnr(output, one.clean) for output, one in outputs]):.3f}",
            "rmse": f"{np.mean([rmse(output, one.clean, one.inside) for output, one in outputs]):.3f}",
        }
        row |= {f"kept_r{r}_{c}hu": f"{np.mean([share[r, c] for share in shares]):.3f}" for r, c in DISCS}
        new = not path.exists()
        with path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
        print("validation", " ".join(f"{name}={value}" for name, value in row.items()), flush=True)
