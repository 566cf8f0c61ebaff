"""Curves of the page: noise power spectra, dose sweep, detectability and transfer, as small indexed PNG."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image as Picture

from .evaluation import Evaluation
from .grain import Grain
from .robustness import Robustness
from .sharpness import CONTRASTS, Sharpness
from .task import SIGNALS, Task

matplotlib.use("Agg")

_COLOURS = 128
_SHOWN_CONTRASTS = (100.0, 1000.0)


def write_curves(found: Evaluation, directory: Path) -> list[Path]:
    """One picture for each part that was run."""
    grain, task, sharp, robust = (found.found(kind) for kind in (Grain, Task, Sharpness, Robustness))
    made: list[tuple[str, Callable[[Any], None]]] = []
    if isinstance(grain, Grain):
        made.append(("spectra", lambda axes: _spectra(axes, grain)))
    if isinstance(task, Task):
        made.append(("detectability", lambda axes: _detectability(axes, task)))
    if isinstance(sharp, Sharpness):
        made.append(("transfer", lambda axes: _transfer(axes, sharp)))
    if isinstance(robust, Robustness):
        made.append(("doses", lambda axes: _doses(axes, robust)))
    return [_written(draw, directory / f"{name}.png") for name, draw in made]


def _written(draw: Callable[[Any], None], path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), dpi=90)
    draw(axes)
    axes.legend(fontsize=7, frameon=False)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    Picture.open(buffer).convert("RGB").quantize(_COLOURS).save(path, optimize=True)
    return path


def _spectra(axes: Any, grain: Grain) -> None:
    for label, own in grain.spectra.items():
        axes.plot(own.frequency, own.power, label=label, linewidth=2 if label in ("input", "full dose") else 1)
    axes.set(xlabel="frequency, cycles/px", ylabel="noise power, HU² px²", yscale="log", title="Noise power spectra")


def _detectability(axes: Any, task: Task) -> None:
    names = [f"r{radius:g} px, {contrast:g} HU" for radius, contrast in SIGNALS]
    for number, (label, row) in enumerate(task.values.items()):
        at = [place + (number - len(task.values) / 2) * 0.1 for place in range(len(names))]
        low = [max(one.value - one.interval[0], 0) for one in row]
        high = [max(one.interval[1] - one.value, 0) for one in row]
        axes.errorbar(at, [one.value for one in row], yerr=[low, high], fmt="o", markersize=4, capsize=2, label=label)
    axes.set(xticks=range(len(names)), xticklabels=names, ylabel="d'", title="Detectability of faint discs")


def _transfer(axes: Any, sharp: Sharpness) -> None:
    for contrast, line in zip(_SHOWN_CONTRASTS, ("--", "-"), strict=True):
        for number, (label, curves) in enumerate(sharp.curves.items()):
            one = curves[CONTRASTS.index(contrast)]
            shown = [f <= 0.5 for f in one.frequency]
            x, y = ([v for v, s in zip(values, shown, strict=True) if s] for values in (one.frequency, one.transfer))
            axes.plot(x, y, line, color=f"C{number}", label=f"{label}, {contrast:g} HU", linewidth=1)
    axes.set(xlabel="frequency, cycles/px", ylabel="transfer", title="Task transfer of disc edges", ylim=(0, 1.2))


def _doses(axes: Any, robust: Robustness) -> None:
    for label in robust.labels:
        values = [robust.cases[name].figures[label].psnr for name in robust.sweep.values()]
        axes.plot(list(robust.sweep), values, "o-", markersize=4, label=label)
    axes.set(xlabel="dose, multiples of the quarter dose", ylabel="PSNR, dB", xscale="log", title="Dose sweep")
    axes.set_xticks(list(robust.sweep), [f"{share:g}" for share in robust.sweep])
    axes.minorticks_off()
