"""The page of the documentation on the guards of ct-denoise."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from .guard_blobs import EDGES, RADII, STATED_CNR, STATED_HU, Planted, curve, stated
from .guard_cases import PERIODS
from .guard_patterns import FORMS, HEIGHTS_HU, Patterned
from .guard_rates import LEAST_OUTSIDE, LEAST_PATTERN_HU, MOST_INSIDE, Rate, rate, wanted
from .guard_text import PAGE
from .markdown import table

if TYPE_CHECKING:
    from .guards import Case


def case_table(cases: Mapping[str, "Case"]) -> str:
    """One row for each case, in Markdown."""
    rows = []
    for name, case in cases.items():
        guards = ", ".join(f"{guard} {count / case.slices:.0%}" for guard, count in case.by_guard.most_common())
        low, high = Rate(case.fired, case.slices).interval
        fired = f"{case.fired / case.slices:.0%} ({low:.0%} to {high:.0%})"
        rows.append([name, str(case.slices), fired, f"{case.withheld / case.slices:.0%}", guards])
    return table(["case", "slices", "fired (95 % interval)", "withheld", "by guard (share of slices)"], rows)


def page(
    cases: Mapping[str, "Case"],
    patterns: Sequence[Patterned],
    discs: Sequence[Planted],
    weights: str,
    picture: Path,
) -> str:
    """The whole page."""
    asked = wanted(cases, patterns, discs)
    seconds = [second for case in cases.values() for second in case.seconds]
    return PAGE.format(
        weights=weights,
        limits=Path(weights).with_suffix(".limits.toml"),
        table=case_table(cases),
        inside=asked[0].rate,
        most=f"{MOST_INSIDE:.0%}",
        least=f"{LEAST_OUTSIDE:.0%}",
        missed="\n".join(f"- {one}." for one in asked if not one.reached) or "Nothing.",
        asked=len(asked),
        pattern_hu=f"{LEAST_PATTERN_HU:g}",
        patterns="\n\n".join(_patterns(patterns, form) for form in FORMS),
        faintest="\n".join(_faintest(patterns, form) for form in FORMS),
        discs=len(discs),
        curves=_curves(discs),
        reached=_reached(discs),
        sixty=_sixty(discs),
        picture=f"{picture.parent.name}/{picture.name}",
        cost=f"{1000 * median(seconds):.0f}",
    )


def _patterns(patterns: Sequence[Patterned], form: str) -> str:
    """Share noticed by height, for every period."""
    rows = []
    for height in HEIGHTS_HU:
        cells = []
        for period in PERIODS:
            key = (form, period, height)
            found = rate(one.noticed for one in patterns if (one.form, one.period, one.height) == key)
            cells.append(f"{found.share:.0%} ({found.count}/{found.of})")
        rows.append([f"{height:g} HU", *cells])
    return table([form, *(f"{period} px" for period in PERIODS)], rows)


def _faintest(patterns: Sequence[Patterned], form: str) -> str:
    """The height from which on the share that is asked for is reached at every period."""
    start = None
    for height in reversed(HEIGHTS_HU):
        kinds = [
            [one.noticed for one in patterns if (one.form, one.period, one.height) == (form, period, height)]
            for period in PERIODS
        ]
        if any(rate(noticed).share < LEAST_OUTSIDE for noticed in kinds):
            break
        start = height
    return f"- {form}: " + ("nowhere" if start is None else f"from {start:g} HU on")


def _curves(discs: Sequence[Planted]) -> str:
    bins = {radius: {low: rate(noticed) for low, _, noticed in curve(discs, radius)} for radius in RADII}
    rows = []
    for low, high in pairwise(EDGES):
        found = [bins[radius].get(low) for radius in RADII]
        rows.append([f"{low:g} to {high:g}", *(f"{one.share:.0%} ({one.of})" if one else "" for one in found)])
    return table(["contrast / noise", *(f"{radius:g} px" for radius in RADII)], rows)


def _reached(discs: Sequence[Planted]) -> str:
    """For each radius the contrast to noise from which on every bin reaches the share that is asked for."""
    lines = []
    for radius in RADII:
        start = None
        for low, _, noticed in reversed(curve(discs, radius)):
            if rate(noticed).share < LEAST_OUTSIDE:
                break
            start = low
        found = "nowhere" if start is None else f"from {start:g} times the local noise on"
        lines.append(f"- {radius:g} px: {found}")
    return "\n".join(lines)


def _sixty(discs: Sequence[Planted]) -> str:
    """Discs of 60 HU by radius: removed and added whatever the noise, and those at the contrast that is stated."""
    rows = []
    for radius in RADII:
        cells = []
        for removed in (True, False):
            key = (radius, STATED_HU, removed)
            cells.append(rate(one.noticed for one in discs if (one.radius, one.contrast, one.removed) == key))
        at_stated = stated(discs, radius)
        rows.append(
            [
                f"{radius:g}",
                *(str(cell) if cell.of else "" for cell in cells),
                f"{STATED_CNR[radius]:g}",
                str(rate(at_stated)) if at_stated else "",
            ]
        )
    return table(["radius, px", "removed", "added", "stated contrast / noise", "both, at that and more"], rows)
