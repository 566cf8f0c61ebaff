"""The page of the documentation: everything that depends on the weights is a computed figure."""

from collections.abc import Sequence
from pathlib import Path

from . import gates
from .contrast import Kind
from .evaluation import Evaluation
from .text import HISTORY, choices, rows_markdown, stages, verdict

_CAPTIONS = {
    "slice": "The middle of one held-out slice, window -160 to 240 HU.",
    "differences": "The same less the full-dose slice, -100 to 100 HU.",
    "spectra": "Noise power spectra in flat tissue.",
    "detectability": "Detectability of faint discs, with 95 % intervals over slices.",
    "transfer": "Task transfer of disc edges, faint (dashed) and strong.",
    "training": "The training: losses, the discriminator's accuracy with the band asked for, its penalty, validation.",
    "doses": "PSNR over dose; the reference has noise of its own.",
}


def page(found: Evaluation, pictures: Sequence[Path], directory: Path) -> str:
    """The page in Markdown; `directory` is where it will stand, for the links to the pictures."""
    return _PAGE.format(
        strength=f"{found.bench.strength:g}",
        headline=found.bench.headline,
        i0=f"{found.i0:g}",
        slices=len(found.bench.slices),
        gates=gates.markdown(gates.results(found)),
        pictures="\n\n".join(_shown(path, directory) for path in pictures),
        table=rows_markdown(found.rows),
        matched=rows_markdown(found.matched),
        strengths=_strengths(found),
        verdict=verdict(found),
        choices="\n".join(f"- {line}" for line in choices(found)),
        parts="\n\n".join(f"## {part.title}\n\n{part.markdown()}" for part in found.findings.values()),
        history=HISTORY.rstrip(),
        small=_kept(found, (2, 20)),
        large=_kept(found, (4, 60)),
        stages="\n".join(f"    - {stages(found, value)};" for value in dict.fromkeys((found.bench.strength, 1.0))),
        noise=f"{found.reference[0]:.1f}",
    )


def _shown(path: Path, directory: Path) -> str:
    caption = _CAPTIONS[path.stem]
    return f"![{caption}]({path.relative_to(directory).as_posix()})\n\n{caption}"


def _kept(found: Evaluation, kind: Kind) -> str:
    classical = found.classical
    return f"{found.headline.contrast[kind]:.0%} of its contrast ({classical.name} {classical.contrast[kind]:.0%})"


def _strengths(found: Evaluation) -> str:
    """The strengths of the matched rows, and who is missing there."""
    reached = ", ".join(f"{name} {value:.2f}" for name, value in found.bench.matched.items())
    absent = [name for name in found.bench.outputs if name not in found.bench.matched]
    rest = f" {', '.join(absent)} leave more noise even at full strength." if absent else ""
    return f"Strengths: {reached}.{rest}"


_PAGE = """# ct-denoise

Noise reduction for CT, trained with an adversarial loss. Not for primary diagnosis: the originals stay beside it.
This page, its pictures and the model card are written by `make evaluate-ct ARGS=--write-card`, in about a quarter of an
hour of two cores; no figure in it is typed by hand.

## What it does

A residual U-Net sees a slice with its two neighbours and returns the slice with less noise. Two sets of weights are
shipped in one file: the *pixel* end, trained for fidelity alone, and the *adversarial* end, trained on against a
discriminator that judges detail and grain. `texture` takes the weights from one to the other, `strength` blends the
result with the original. By default a series gets the {headline} at strength {strength}.

## Asked for and measured

{gates}

{verdict}

## What it looks like

{pictures}

## What it was measured on

Lung2 of pyradiomics, a chest of which no slice was used to train, to tune a filter or to choose weights or strength.
{slices} slices (every fourth), 512 x 512, at one simulated quarter dose (I0 = {i0} photons per ray and view, body
kernel).

{table}

PSNR over 2000 HU in the field of view, ± its SD over slices. SSIM in [-160, 240] HU and RMSE in the body. Bias: mean
error in the body. Noise and grain (mean frequency of the noise power spectrum) in flat soft tissue. The last four
columns: the share of contrast kept of discs of 2 and 4 px radius and 20 and 60 HU, put into flat soft tissue of the
centre slice before the noise. "Guarded": with the residual bound and the low-frequency guard that the node applies.

{choices}

## At matched noise

A method that smooths more loses more contrast, so every method again at the strength (a blend with the input) at which
it leaves the noise of the best classical filter in flat tissue. {strengths}

{matched}

{parts}

## How clean the test is

{history}

## What it does badly

- **Small faint things fade.** At the default strength a disc of 2 px radius and 20 HU keeps {small}, one of 4 px and
  60 HU {large}. Compare the original before calling a faint lesion absent.
- **The adversarial stage is no free gain.** What it changes against the pixel stage:
{stages}

  Where these figures show no gain, `texture` 0, which is the pixel stage, is the better setting.
- **It can draw things that are not there.** The chapters on pure noise, agreement by detail and spots say how much;
  lines that look like small vessels are put into the training targets, and single ones were seen where the reference
  has none.
- One held-out patient is no population. Intervals over slices are of one chest.
- The reference carries noise of its own ({noise} HU), which a good denoiser removes and is punished for; the PSNR of
  every strong method is capped by it.
- The noise of the table was simulated (parallel beam, one energy, no scatter, no tube current modulation), and the
  classical filters were tuned on the same kind of noise; the chapter on robustness has another simulator's.
- Trained on two adults' chests and upper abdomens from two scanners. Heads, limbs and children were never seen; nor
  were iterative reconstructions, whose noise has another grain.
"""
