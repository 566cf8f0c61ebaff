"""The page of the documentation on the guards of ct-denoise."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .guard_blobs import RADII, Planted, curve
from .guard_cases import IN_DOMAIN

if TYPE_CHECKING:
    from .guards import Case

INSIDE = ("as scanned", *IN_DOMAIN)
WANTED_INSIDE = 0.05
WANTED_OUTSIDE = 0.95


def table(cases: Mapping[str, "Case"]) -> str:
    """One row for each case, in Markdown."""
    rows = ["| case | slices | fired | withheld | by guard (share of slices) |", "|---|---|---|---|---|"]
    for name, case in cases.items():
        guards = ", ".join(f"{guard} {count / case.slices:.0%}" for guard, count in case.by_guard.most_common())
        fired, withheld = case.fired / case.slices, case.withheld / case.slices
        rows.append(f"| {name} | {case.slices} | {fired:.0%} | {withheld:.0%} | {guards} |")
    return "\n".join(rows)


def page(cases: Mapping[str, "Case"], discs: list[Planted]) -> str:
    """The whole page."""
    inside = [cases[name] for name in INSIDE]
    fired, slices = sum(case.fired for case in inside), sum(case.slices for case in inside)
    everything = list(cases.values())
    cost = sum(case.seconds for case in everything) / sum(case.slices for case in everything)
    return _PAGE.format(
        table=table(cases),
        fired=fired,
        slices=slices,
        rate=f"{fired / slices:.1%}",
        wanted=f"{WANTED_INSIDE:.0%}",
        missed=_missed(cases),
        curves=_curves(discs),
        sixty=_sixty(discs),
        discs=len(discs),
        cost=f"{1000 * cost:.0f}",
    )


def _missed(cases: Mapping[str, "Case"]) -> str:
    outside = {name: case.fired / case.slices for name, case in cases.items() if name not in INSIDE}
    below = [f"- {name}: {share:.0%}." for name, share in outside.items() if share < WANTED_OUTSIDE]
    return "\n".join(below) or "- None."


def _sixty(discs: list[Planted]) -> str:
    """How many discs of 60 HU are noticed, removed and added, by radius."""
    rows = ["| radius, px | removed | added |", "|---|---|---|"]
    for radius in RADII:
        shares = [
            [one.noticed for one in discs if (one.radius, one.contrast, one.removed) == (radius, 60.0, removed)]
            for removed in (True, False)
        ]
        rows.append(f"| {radius:g} | " + " | ".join(f"{sum(share) / len(share):.0%}" for share in shares) + " |")
    return "\n".join(rows)


def _curves(discs: list[Planted]) -> str:
    bins = {radius: {name: (count, share) for name, count, share in curve(discs, radius)} for radius in RADII}
    names = list(dict.fromkeys(name for rows in bins.values() for name in rows))
    names.sort(key=lambda name: float(name.split()[0]))
    head = "| contrast / noise | " + " | ".join(f"{radius:g} px" for radius in RADII) + " |"
    lines = [head, "|---" * (len(RADII) + 1) + "|"]
    for name in names:
        cells = [f"{found[1]:.0%} ({found[0]})" if (found := bins[radius].get(name)) else "" for radius in RADII]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


_PAGE = """\
# The guards of ct-denoise

Written by `python -m pipelines.evaluate.guards --write-page`; not to be edited by hand. The limits are in
`pipelines/weights/ct-denoise-1.0.limits.toml`, which `python -m pipelines.gan.calibrate` writes from the training
patients.

A guard passes, flags (delivered, and said in the image) or withholds (originals only). "Fired" is either of the last
two. Figures are for single slices. **In the node the worst slice decides for its series**, so a rate of 5 % of slices
would flag nearly every long series; read the first rows so.

{table}

## In the domain

{fired} of {slices} slices of the held-out patient fired: {rate} (wanted: at most {wanted}). The test is not blind:
the number of principal components in the feature distance (12), the margins and what the calibration contains were
chosen after looks at these very slices, with earlier weights; nothing was changed for the shipped ones. It is one
patient, and the noise is simulated. Another patient, another scanner may well be further from the two patients of the
calibration than this one: the feature distance will flag first what the model has never seen.

## What is not noticed 95 times in 100

{missed}

- A softer kernel leaves noise whose grain is that of the training scans themselves at full dose, and a quarter of the
  training crops had other kernels: to the network it is hardly foreign. Where headers name
  the kernel, an envelope can list those that are allowed; where they do not, the drift watch (`dicomnode models drift`)
  charts noise and grain of each scanner. The guard of a single series can only be as narrow as the training was wide.
- Withheld is less than fired. What is unlike the two patients of the calibration (grain, features, share of body) is
  flagged only: two patients are too few to withhold a series for that. Too much noise may withhold, and what the
  network does (residual bound, low frequency, change, blobs, edges).
- The noise of a series varies fourfold over the patient: at 2.5 times the noise its thin parts have the noise of thick
  parts at a usual dose, and are flagged by the features alone. The thickest slices are withheld, and with them the
  series.
- A faint checkerboard that a network puts out is smaller than the noise it takes away; what shows it is the change
  in all, which has to leave room for strong and weak noise.

## Lesions that the network wipes out or makes up

Discs in flat soft tissue of the held-out patient at all three doses; {discs} of them. Noticed means that the blob score
at the disc passes the limit that flags. Share noticed (number of discs) by contrast over local noise, and radius:

{curves}

Of discs of 60 HU, whatever the noise at their place:

{sixty}

No more than three sigmas of the local noise are ever changed (residual bound), so higher contrast does not help beyond
that; a disc of 2 px is averaged with its surroundings. Below a contrast of about the noise nothing is noticed, and
nothing could be: a guard that noticed would fire at noise.

## Cost

All guards together: {cost} ms for each slice of this evaluation (mostly 512 x 512) on one thread.
"""
