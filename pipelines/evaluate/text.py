"""The evaluation as text, JSON and a page of the documentation."""

from typing import Any

from .contrast import DISCS
from .evaluation import MARGIN_DB, WANTED_GAIN_DB, Evaluation
from .rows import Row

HEAD = (
    *("method", "PSNR dB", "SSIM", "RMSE HU", "bias HU", "noise HU", "grain c/px"),
    *(f"r{radius} {contrast} HU" for radius, contrast in DISCS),
)


def cells(row: Row) -> list[str]:
    """One row of the table: means, with the SD over slices for PSNR."""
    figures = [
        row.name,
        f"{row.mean('psnr'):.2f} ± {row.spread('psnr'):.2f}",
        f"{row.mean('ssim'):.3f}",
        f"{row.mean('rmse'):.1f}",
        f"{row.mean('bias'):+.2f}",
        f"{row.mean('noise'):.1f}",
        f"{row.mean('grain'):.3f}",
    ]
    return figures + [f"{row.contrast[kind]:.2f}" for kind in DISCS]


def markdown(found: Evaluation) -> str:
    """The table in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD), *(cells(row) for row in found.rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def plain(found: Evaluation) -> str:
    """The table for a terminal, and what was chosen on which slices."""
    lines = [list(HEAD), *(cells(row) for row in found.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([*table, "", *_choices(found), "", verdict(found), f"took {found.seconds:.0f} s"])


def verdict(found: Evaluation) -> str:
    """The paired comparison in one sentence."""
    gain = found.gain
    return (
        f"Adversarial stage at strength {found.strength:g} against {found.best_classical}: {gain.mean:+.2f} dB PSNR "
        f"(SD {gain.spread:.2f}; 95 % interval {gain.low:+.2f} to {gain.high:+.2f} over {found.slices} slices of one "
        "patient, so it says nothing about other patients)."
    )


def as_json(found: Evaluation) -> dict[str, Any]:
    """Everything, with JSON's types."""
    return {
        "quarter_dose_i0": found.i0,
        "strength": found.strength,
        "slices": found.slices,
        "best_classical": found.best_classical,
        "gain_db": {"mean": found.gain.mean, "sd": found.gain.spread, "low": found.gain.low, "high": found.gain.high},
        "reference": {"noise": found.reference[0], "grain": found.reference[1]},
        "tuned": {one.name: {"settings": dict(one.settings), "psnr": one.psnr} for one in found.tuned},
        "chosen_strength": found.chosen_strength,
        "slab_psnr_by_strength": {f"{value:g}": psnr for value, psnr in found.by_strength.items()},
        "rows": {
            row.name: row.values | {"contrast": {f"r{r} {c} HU": row.contrast[r, c] for r, c in DISCS}}
            for row in found.rows
        },
        "seconds": found.seconds,
    }


def page(found: Evaluation) -> str:
    """The page of the documentation."""
    pixel, adversarial = (
        found.row(f"{stage} stage, strength {found.strength:g}") for stage in ("pixel", "adversarial")
    )
    kept, classical = adversarial.contrast, found.row(found.best_classical).contrast
    return _PAGE.format(
        table=markdown(found),
        choices="\n".join(f"- {line}" for line in _choices(found)),
        verdict=verdict(found),
        strength=f"{found.strength:g}",
        i0=f"{found.i0:g}",
        slices=found.slices,
        best=found.best_classical,
        small_classical=f"{classical[2, 20]:.0%}",
        large_classical=f"{classical[4, 60]:.0%}",
        small_pixel=f"{pixel.contrast[2, 20]:.0%}",
        cost=f"{pixel.mean('psnr') - adversarial.mean('psnr'):.2f}",
        pixel_noise=f"{pixel.mean('noise'):.1f}",
        adversarial_noise=f"{adversarial.mean('noise'):.1f}",
        pixel_grain=f"{pixel.mean('grain'):.3f}",
        adversarial_grain=f"{adversarial.mean('grain'):.3f}",
        reference_noise=f"{found.reference[0]:.1f}",
        reference_grain=f"{found.reference[1]:.3f}",
        small=f"{kept[2, 20]:.0%}",
        large=f"{kept[4, 60]:.0%}",
    )


def _choices(found: Evaluation) -> list[str]:
    tuned = [
        f"{one.name}: "
        + ", ".join(f"{name} {value:g}" for name, value in one.settings.items())
        + f" ({one.psnr:.2f} dB)"
        for one in found.tuned
    ]
    strengths = ", ".join(f"{value:g}: {psnr:.2f}" for value, psnr in found.by_strength.items())
    return [
        "Classical filters, each at the best of twelve settings on slices of the training patients that no training "
        "step saw, at a dose that gives them the same noise: " + "; ".join(tuned) + ".",
        f"PSNR (dB) of the adversarial stage on the same slices by strength: {strengths}. The default is the lowest "
        f"that gains {WANTED_GAIN_DB + MARGIN_DB:g} dB over the best classical filter: {found.chosen_strength:g}.",
        f"Reference (the slices before noise was added): {found.reference[0]:.1f} HU of noise of its own in flat "
        f"tissue, grain {found.reference[1]:.3f} cycles/px.",
    ]


_PAGE = """# ct-denoise

Noise reduction for CT, trained with an adversarial loss. Not for primary diagnosis: the originals stay beside it.
This page is written by `python -m pipelines.evaluate.ct --write-card`, which needs a few minutes of two cores.

## What it does

A residual U-Net (0.12 million parameters) sees a slice with its two neighbours and returns the slice with less noise.
Two sets of weights are shipped in one file: the *pixel* end, trained for fidelity alone, and the *adversarial* end,
trained on against a discriminator that judges detail and grain. `texture` takes the weights from one to the other,
`strength` blends the result with the original. The default strength is {strength}.

## What it was measured on

Lung2 of pyradiomics, a chest of which no slice was used to train, tune or choose anything. {slices} slices (every
fourth), 512 x 512, at one simulated quarter dose (I0 = {i0} photons per ray and view, body kernel). The networks that
are compared at strength {strength} are the very same that a series gets by default; the rows at strength 1 are for
information.

{table}

PSNR over 2000 HU in the field of view, ± its SD over slices. SSIM in [-160, 240] HU and RMSE in the body. Bias: mean
error in the body. Noise and grain (mean frequency of the noise power spectrum) in flat soft tissue. The last four
columns: the share of contrast kept of discs of 2 and 4 px radius and 20 and 60 HU, put into flat soft tissue of the
centre slice before the noise. "Guarded": with the residual bound and the low-frequency guard that the node applies.

{verdict}

{choices}

## What it does badly

- **Small faint things fade.** At the default strength a disc of 2 px radius and 20 HU keeps {small} of its contrast,
  one of 4 px and 60 HU {large} ({best}: {small_classical} and {large_classical}). The noise there is larger than the
  smaller contrast. Compare the original before calling a faint lesion absent.
- The adversarial stage costs {cost} dB against the pixel stage and some contrast of the smallest discs
  ({small_pixel} before, {small} after). What it buys is grain: noise of {adversarial_noise} HU at
  {adversarial_grain} cycles/px where the pixel stage has {pixel_noise} HU at {pixel_grain} and the reference
  {reference_noise} HU at {reference_grain}. Whoever prefers fidelity sets `texture` to 0.
- One held-out patient is no population. The interval above is over slices of this one chest.
- The reference carries noise of its own ({reference_noise} HU), which a good denoiser removes and is punished for; the
  PSNR of every strong method is capped by it.
- The noise was simulated (parallel beam, one energy, no scatter, no tube current modulation), and the classical
  filters were tuned on the same kind of noise.
- Trained on two adults' chests and upper abdomens from two scanners. Heads, limbs and children were never seen; nor
  were iterative reconstructions, whose noise has another grain.
"""
