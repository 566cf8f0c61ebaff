"""Both ends of a training run as one safetensors file; the discriminator stays behind."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from .state import State

ENDS = ("pixel", "adversarial")


def export(state: State, losses: Path, path: Path) -> None:
    """Write `pixel.*` and `adversarial.*`, with the facts of the run as JSON in the file's metadata ("training").

    `losses` is the run's CSV log. Raises ValueError if the run has not reached its end.
    """
    if state.stage != "adversarial" or state.step != state.plan.adversarial_steps:
        raise ValueError(f"the run stands at step {state.step} of its {state.stage} stage; only a finished one ships.")
    ends = dict(zip(ENDS, (state.pixel_end, state.average.state_dict()), strict=True))
    tensors = {f"{end}.{name}": value.cpu().contiguous() for end, row in ends.items() for name, value in row.items()}
    facts = asdict(state.plan) | {"device": state.device.type} | _discriminator(losses)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # one entry: safetensors writes several in any order, and the same weights are to have the same sha256
    save_file(tensors, partial, metadata={"training": json.dumps(facts)})
    partial.replace(path)


def _discriminator(losses: Path) -> dict[str, float]:
    """How well the discriminator told real from generated: least, mean and most over its stage, and its last loss.

    The first tenth is left out: it begins untrained, at chance.
    """
    with losses.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["stage"] == "adversarial"]
    if not rows:
        return {}
    settled = [float(row["accuracy"]) for row in rows[len(rows) // 10 :]]
    return {
        "discriminator_accuracy_least": min(settled),
        "discriminator_accuracy_mean": round(sum(settled) / len(settled), 4),
        "discriminator_accuracy_most": max(settled),
        "discriminator_loss_last": float(rows[-1]["discriminator"]),
    }
