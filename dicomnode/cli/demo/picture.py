"""The picture of the demo: one slice before, after, their difference, and the full dose. Patient-neutral."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from dicomnode.cli.demo.noise import SIZE, Comparison, Image, Region

WINDOW_HU = (40.0, 400.0)
"""Centre and width of the soft tissue window."""
DIFFERENCE_HU = 100.0
"""The difference is shown from minus to plus this."""
_CAPTION, _GAP, _MARGIN = 44, 6, 10
_BAR = (120, 10)
_INK, _PAPER, _MARK = 235, 24, 255


@dataclass(frozen=True)
class _Panel:
    title: str
    below: str
    grey: Image
    bar: tuple[str, str] | None = None


def draw(comparison: Comparison, pipeline: str, path: Path) -> None:
    """Write the picture as PNG: four panels at one pixel of the slice for one of the picture."""
    rows = body_rows(comparison.full_dose)
    panels = _panels(comparison, pipeline)
    height, width = rows.stop - rows.start + _CAPTION, comparison.before.shape[1]
    sheet = Picture.new("L", (2 * width + _GAP, 2 * height + _GAP), _PAPER)
    for number, panel in enumerate(panels):
        corner = (number % 2 * (width + _GAP), number // 2 * (height + _GAP))
        sheet.paste(_drawn(panel, rows, comparison.region), corner)
    sheet.save(path, optimize=True)


def body_rows(hu: Image) -> slice:
    """The rows that the patient fills, with a margin: air above and the table below say nothing."""
    filled = np.flatnonzero((hu > -300).mean(axis=1) > 0.15)
    if not len(filled):
        return slice(0, len(hu))
    return slice(max(int(filled[0]) - _MARGIN, 0), min(int(filled[-1]) + 1 + _MARGIN, len(hu)))


def windowed(hu: Image, centre: float, width: float) -> Image:
    """Grey values 0 to 255, linear in the window (PS3.3 C.11.2.1.3.2, LINEAR_EXACT)."""
    return np.clip((hu - centre) / width + 0.5, 0.0, 1.0) * 255.0


def _panels(comparison: Comparison, pipeline: str) -> tuple[_Panel, ...]:
    before, after, full = comparison.sd()
    window = f"window {WINDOW_HU[0]:g} / {WINDOW_HU[1]:g} HU"
    difference = comparison.after - comparison.before
    shift = comparison.mean()[1] - comparison.mean()[0]
    return (
        _Panel("Before: simulated quarter dose", _noise(before, window), windowed(comparison.before, *WINDOW_HU)),
        _Panel(f"After: {pipeline}", _noise(after, window), windowed(comparison.after, *WINDOW_HU)),
        _Panel(
            "Difference: after minus before",
            f"mean in the square {shift:+.1f} HU",
            windowed(difference, 0.0, 2 * DIFFERENCE_HU),
            (f"-{DIFFERENCE_HU:g}", f"+{DIFFERENCE_HU:g} HU"),
        ),
        _Panel("For comparison: full dose", _noise(full, window), windowed(comparison.full_dose, *WINDOW_HU)),
    )


def _noise(sd: float, window: str) -> str:
    return f"noise in the square {sd:.1f} HU (SD), {window}"


def _drawn(panel: _Panel, rows: slice, region: Region) -> Picture.Image:
    """The panel under its caption, with the measured square outlined just outside its pixels.

    "R" stands at the patient's right, which is where columns begin in the series of `demo_series`.
    """
    grey = panel.grey[rows].round().astype(np.uint8)
    height, width = grey.shape
    image = Picture.new("L", (width, height + _CAPTION), _PAPER)
    image.paste(Picture.fromarray(grey), (0, _CAPTION))
    pen = ImageDraw.Draw(image)
    pen.text((8, 4), panel.title, fill=_INK, font=ImageFont.load_default(17))
    pen.text((8, 25), panel.below, fill=_INK, font=ImageFont.load_default(13))
    pen.text((6, _CAPTION + height // 2), "R", fill=_INK, font=ImageFont.load_default(17))
    top = region.row - rows.start + _CAPTION
    pen.rectangle((region.column - 1, top - 1, region.column + SIZE, top + SIZE), outline=_MARK)
    if panel.bar is not None:
        _bar(image, pen, panel.bar)
    return image


def _bar(image: Picture.Image, pen: ImageDraw.ImageDraw, ends: tuple[str, str]) -> None:
    """The grey scale from black to white between its two values, at the right of the caption."""
    length, thickness = _BAR
    font = ImageFont.load_default(13)
    right = image.width - 8 - int(pen.textlength(ends[1], font=font)) - 6
    left = right - length
    ramp = np.tile(np.linspace(0, 255, length).astype(np.uint8), (thickness, 1))
    image.paste(Picture.fromarray(ramp), (left, 27))
    pen.rectangle((left - 1, 26, right, 27 + thickness), outline=128)
    pen.text((right + 6, 25), ends[1], fill=_INK, font=font)
    pen.text((left - 6 - int(pen.textlength(ends[0], font=font)), 25), ends[0], fill=_INK, font=font)
