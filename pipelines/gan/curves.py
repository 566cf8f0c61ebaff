"""The curves of a run as a picture: losses, the discriminator's accuracy, its gradient penalty, validation."""

import csv
from pathlib import Path

Rows = list[dict[str, str]]
_PANELS = (
    ("fidelity", ("pixel", "gradient")),
    ("detail of the output / of the target", ("detail",)),
    ("generator against discriminator", ("adversarial", "features", "discriminator")),
    ("accuracy of the discriminator, share of rests", ("accuracy", "rested")),
    ("gradient penalty", ("penalty",)),
    ("validation PSNR, dB", ("psnr",)),
)
_BAND = (0.55, 0.85)


def draw_curves(folder: Path, path: Path | None = None) -> None:
    """Draw `losses.csv` and `validation.csv` of a run's folder into `curves.png` there, or into `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses, validation = _read(folder / "losses.csv"), _read(folder / "validation.csv")
    pixel_steps = max((int(row["step"]) for row in losses if row["stage"] == "pixel"), default=0)
    figure = Figure(figsize=(10, 8), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (title, names) in zip(figure.subplots(3, 2, sharex=True).flat, _PANELS, strict=True):
        for name in names:
            rows = [row for row in (validation if name == "psnr" else losses) if row.get(name)]
            axis.plot([_at(row, pixel_steps) for row in rows], [float(row[name]) for row in rows], label=name, lw=0.9)
        if "accuracy" in names:
            axis.axhspan(*_BAND, alpha=0.12, color="green", lw=0)
        axis.axvline(pixel_steps, color="grey", lw=0.6, ls=":")
        axis.set_title(title, fontsize=9)
        axis.legend(fontsize=7)
    figure.supxlabel("step (dotted: the adversarial stage begins)", fontsize=9)
    partial = (path or folder / "curves.png").with_suffix(".partial")
    figure.savefig(partial, format="png", metadata={"Software": None})
    partial.replace(path or folder / "curves.png")


def _at(row: dict[str, str], pixel_steps: int) -> int:
    return int(row["step"]) + (pixel_steps if row["stage"] == "adversarial" else 0)


def _read(path: Path) -> Rows:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
