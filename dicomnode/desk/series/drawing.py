"""Physical values as small grey pictures: one window for two of them, and their difference on a scale of its own."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset

from dicomnode.store.header_fields import text

LONGEST = 512
"""Pixels of a picture's longer side at most."""

_FLATTEST = 8.0
"""Pixels that are so many times as long as wide are believed; beyond it their spacing is a mistake."""

_UNITS = {"CT": "HU"}
"""Of what the modality LUT gives where Rescale Type (0028,1054) is silent; others are stored values."""

Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Pictures:
    """The PNG files of one slice by name (`before`, `after`, `difference`), and how they are to be read.

    `low` and `high` are the window of `before` and `after` alike; `scale`: black and white of `difference` are that
    far below and above zero. All in `units`. `sizes` are (width, height) in pixels. `missing` says of each picture
    that there is not why. `frame` (from 1) of `frames` is drawn.
    """

    png: Mapping[str, bytes]
    sizes: Mapping[str, tuple[int, int]]
    missing: Mapping[str, str]
    units: str
    low: float
    high: float
    scale: float
    frame: int = 1
    frames: int = 1


@dataclass
class Drawn:
    """What is known of a slice before it is drawn: values (H, W) and headers of `before` and `after`."""

    values: dict[str, Grey] = field(default_factory=dict)
    headers: dict[str, Dataset] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    frame: int = 1
    frames: int = 1


def draw(of: Drawn) -> Pictures:
    """The pictures. Without an original the result's own header says how it is to be read."""
    header = of.headers.get("before") or of.headers.get("after") or Dataset()
    first = of.values.get("before", of.values.get("after"))
    low, high = _window(header, first) if first is not None else (0.0, 1.0)
    inverted = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    images = {name: _image(_grey(each, low, high, inverted), header) for name, each in of.values.items()}
    missing, scale = dict(of.missing), 0.0
    if len(of.values) == 2:
        if of.values["before"].shape == of.values["after"].shape:
            change = of.values["after"] - of.values["before"]
            scale = _scale(change)
            images["difference"] = _image(_grey(change, -scale, scale, False), header)
        else:
            missing["difference"] = "the result lies on another grid than the original: nothing can be subtracted"
    png, sizes = {name: _png(each) for name, each in images.items()}, {name: each.size for name, each in images.items()}
    return Pictures(png, sizes, missing, _units(header), low, high, scale, of.frame, of.frames)


def _window(header: Dataset, values: Grey) -> tuple[float, float]:
    """The first VOI window of the header (PS3.3 C.11.2), else between the 1st and 99th percentile."""
    center, width = _numbers(header, "WindowCenter")[:1], _numbers(header, "WindowWidth")[:1]
    if center and width and width[0] > 1:
        return center[0] - width[0] / 2, center[0] + width[0] / 2
    finite = values[np.isfinite(values)]
    low, high = (float(each) for each in np.percentile(finite, (1, 99))) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _numbers(header: Dataset, keyword: str) -> list[float]:
    """The values of an element that has numbers, none where one of them is none."""
    try:
        value = header.get(keyword)
        several = [] if value is None or value == "" else [value] if isinstance(value, int | float | str) else value
        found = [float(each) for each in several]
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return []
    return found if all(map(math.isfinite, found)) else []


def _scale(change: Grey) -> float:
    """The largest change but for one pixel in a hundred, as 1, 2 or 5 times a power of ten; 1 where nothing did."""
    finite = np.abs(change[np.isfinite(change)])
    most = float(np.percentile(finite, 99)) if finite.size else 0.0
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most * (1 - 1e-9))


def _units(header: Dataset) -> str:
    kind = text(header, "RescaleType") or _UNITS.get(text(header, "Modality"), "US")
    return "" if kind == "US" else kind


def _grey(values: Grey, low: float, high: float, inverted: bool) -> NDArray[np.uint8]:
    grey = np.clip((np.nan_to_num(values, nan=low) - low) / (high - low), 0.0, 1.0)
    return np.asarray(np.rint((1 - grey if inverted else grey) * 255), dtype=np.uint8)


def _image(grey: NDArray[np.uint8], header: Dataset) -> Image.Image:
    """At its true proportions, as small as `LONGEST` asks; pixels that are square and few stay as they are."""
    image = Image.fromarray(grey)
    width, height = image.size[0], image.size[1] * _tallness(header)
    ratio = min(1.0, LONGEST / max(width, height))
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


def _tallness(header: Dataset) -> float:
    """How many times as tall as wide a pixel is; 1 where nothing believable is said (PS3.3 10.7.1.3, C.7.6.3.1.7)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "PixelAspectRatio"):
        match _numbers(header, keyword):
            case [down, across] if down > 0 and across > 0 and 1 / _FLATTEST <= down / across <= _FLATTEST:
                return down / across
    return 1.0


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()
