"""Train a denoiser: `python -m pipelines.gan.train [--afresh] [--device cuda:0]`.

Pixel stage, then adversarial stage; both ends go into one safetensors file with the facts of the run beside it. The
run keeps a checkpoint, a log of its losses, a log of its validation and pictures of both under `training/<pipeline>/`,
and goes on from the checkpoint when it is started again.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from dicomnode.enhance.device import open_device
from dicomnode.enhance.errors import EnhanceError

from ..data import DataError
from ..evaluate.folds import fold_path
from ..evaluate.methods import WEIGHTS
from ..simulate.bank import HELDOUT, Case
from .alarm import Collapsed
from .ct_task import CTTask
from .curves import draw_curves
from .export import export
from .log import Log
from .plan import STAGES, Plan
from .progress import Report, shown
from .state import State
from .steps import adversarial_step, pixel_step
from .task import Task
from .validate import Validation

FOLD_STEPS = {"pixel_steps": 10_000, "adversarial_steps": 3_000}
"""Of the networks that are only made to be tried on a body which the shipped one has seen."""


def train(
    state: State,
    task: Task,
    cases: list[Case],
    folder: Path,
    validation: Validation | None = None,
    report: Report = print,
    on_step: Callable[[int], None] = lambda done: None,
) -> State:
    """Run the plan to its end from wherever the state stands, with a checkpoint every so often.

    `folder` gets `last.safetensors`, `losses.csv`, `validation.csv` and the curves. `on_step` gets the steps done in
    both stages. Raises Collapsed if the run went wrong; the last checkpoint stays.
    """
    plan, log, began = state.plan, Log(folder / "losses.csv", state, report), time.monotonic()
    while True:
        if state.step == plan.steps(state.stage):
            if state.stage == "adversarial":
                break
            state.begin_adversarial()
            continue
        batch = task.draw(cases, (plan.seed, STAGES.index(state.stage), state.step), plan.batch, plan.crop)
        figures = (pixel_step if state.stage == "pixel" else adversarial_step)(state, batch)
        state.step += 1
        state.follow()
        log.add(state, figures, time.monotonic() - began)
        if state.step % plan.checkpoint_every == 0 or state.step == plan.steps(state.stage):
            state.save(folder / "last.safetensors")
        if validation and state.step % plan.validate_every == 0:
            report(validation.report(state, folder))
            draw_curves(folder)
        on_step(state.step + (plan.pixel_steps if state.stage == "adversarial" else 0))
    return state


def run(task: Task, plan: Plan, arguments: argparse.Namespace, folder: Path, weights: Path) -> None:
    """A whole run as the command line asks for it. Raises DataError, ValueError, EnhanceError, Collapsed."""
    device = open_device(arguments.device)
    cases = [case.to(device) for case in task.cases(arguments.data, arguments.training, arguments.held_out)]
    validation = task.validation(arguments.data, arguments.held_out)
    state = _start(folder, plan, task.unit, device, arguments.afresh)
    with shown(plan, Console()) as (report, on_step):
        train(state, task, cases, folder, validation, report, on_step)
    export(state, folder / "losses.csv", weights)
    shutil.copyfile(folder / "losses.csv", weights.with_suffix(".losses.csv"))
    draw_curves(folder, weights.with_suffix(".curves.png"))


def main() -> int:
    """The command line; 0 when the weights are written."""
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    os.nice(5)
    task = CTTask()
    fold = arguments.held_out != HELDOUT
    asked = {name: getattr(arguments, name) for name in FOLD_STEPS if getattr(arguments, name) is not None}
    plan = replace(task.plan, width=arguments.width, **(FOLD_STEPS if fold else {}) | asked)
    folder = arguments.training / (f"{task.pipeline}-without-{arguments.held_out}" if fold else task.pipeline)
    weights = arguments.weights or (fold_path(WEIGHTS, arguments.held_out) if fold else WEIGHTS)
    try:
        run(task, plan, arguments, folder, weights)
    except (DataError, ValueError, EnhanceError, Collapsed) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    print(f"wrote {weights}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.gan.train", description="Train the CT denoiser.")
    parser.add_argument("--afresh", action="store_true", help="forget the last checkpoint, if there is one")
    parser.add_argument("--held-out", default=HELDOUT, help="the body that the network must not see (default: lung2)")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--training", type=Path, default=Path("training"), help="noise bank, logs, checkpoints")
    parser.add_argument("--weights", type=Path, help="where the weights go")
    parser.add_argument("--device", default="auto", help="cpu, cuda:0 or auto; pairs are made on it too")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--width", type=int, default=Plan.width, help="channels at full resolution")
    parser.add_argument("--pixel-steps", type=int, help="instead of the plan's")
    parser.add_argument("--adversarial-steps", type=int, help="instead of the plan's")
    return parser


def _start(folder: Path, plan: Plan, unit: float, device: torch.device, afresh: bool) -> State:
    checkpoint = folder / "last.safetensors"
    if checkpoint.exists() and not afresh:
        return State.resume(checkpoint, plan, unit, device)
    for old in (checkpoint, folder / "losses.csv", folder / "validation.csv"):
        old.unlink(missing_ok=True)
    return State(plan, unit, device)


if __name__ == "__main__":
    sys.exit(main())
