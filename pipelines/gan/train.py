"""Train the CT denoiser: `python -m pipelines.gan.train [--resume]`.

Pixel stage, then adversarial stage; both ends go into one safetensors file with the model card's facts beside it.
The run keeps a checkpoint, a log of its losses and a log of its validation under `training/ct-denoise/`.
"""

import argparse
import csv
import os
import sys
import time
from pathlib import Path

import torch

from ..data import DataError
from ..simulate.bank import Case, load_cases
from ..simulate.crops import draw
from .export import export
from .plan import STAGES, Plan
from .state import State
from .steps import Figures, adversarial_step, pixel_step
from .validate import Validation

WEIGHTS = Path(__file__).parents[1] / "weights" / "ct-denoise-1.0.safetensors"
_COLUMNS = ("stage", "step", "seconds", "pixel", "gradient", "adversarial", "features", "discriminator", "accuracy")
LOG_EVERY = 100


def train(state: State, cases: list[Case], folder: Path, validation: Validation | None = None) -> State:
    """Run the plan to its end from wherever the state stands, with a checkpoint every so often."""
    plan, log, began = state.plan, _Log(folder / "losses.csv"), time.monotonic()
    while True:
        if state.step == plan.steps(state.stage):
            if state.stage == "adversarial":
                break
            state.begin_adversarial()
            continue
        batch = draw(cases, (plan.seed, STAGES.index(state.stage), state.step), plan.batch, plan.crop)
        figures = (pixel_step if state.stage == "pixel" else adversarial_step)(state, batch)
        state.step += 1
        state.follow()
        log.add(state, figures, time.monotonic() - began)
        if state.step % plan.checkpoint_every == 0 or state.step == plan.steps(state.stage):
            state.save(folder / "last.safetensors")
        if validation and state.step % plan.validate_every == 0:
            validation.report(state, folder / "validation.csv")
    return state


class _Log:
    """Means over a hundred steps, one line each, to a CSV file and the terminal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Figures] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(",".join(_COLUMNS) + "\n", encoding="utf-8")

    def add(self, state: State, figures: Figures, seconds: float) -> None:
        self._rows.append(figures)
        if state.step % LOG_EVERY:
            return
        means = {name: sum(row[name] for row in self._rows) / len(self._rows) for name in figures}
        row = {"stage": state.stage, "step": state.step, "seconds": f"{seconds:.0f}"}
        row |= {name: f"{value:.4f}" for name, value in means.items()}
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, _COLUMNS, restval="").writerow(row)
        print(" ".join(f"{name}={value}" for name, value in row.items()), flush=True)
        self._rows.clear()


def main() -> int:
    """The command line; 0 when the weights are written."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.gan.train", description="Train the CT denoiser.")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--training", type=Path, default=Path("training"), help="noise bank, logs, checkpoints")
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pixel-steps", type=int, default=Plan.pixel_steps)
    parser.add_argument("--adversarial-steps", type=int, default=Plan.adversarial_steps)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.nice(5)
    plan = Plan(pixel_steps=arguments.pixel_steps, adversarial_steps=arguments.adversarial_steps)
    folder = arguments.training / "ct-denoise"
    try:
        cases = load_cases(arguments.data, arguments.training)
        validation = Validation(arguments.data)
        state = _start(folder, plan, arguments.resume)
    except (DataError, ValueError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    train(state, cases, folder, validation)
    export(state, folder / "losses.csv", arguments.weights)
    print(f"wrote {arguments.weights}; its card is written by: python -m pipelines.evaluate.ct --write-card")
    return 0


def _start(folder: Path, plan: Plan, resume: bool) -> State:
    checkpoint = folder / "last.safetensors"
    if resume and checkpoint.exists():
        return State.resume(checkpoint, plan)
    for old in (checkpoint, folder / "losses.csv", folder / "validation.csv"):
        old.unlink(missing_ok=True)
    return State(plan)


if __name__ == "__main__":
    sys.exit(main())
