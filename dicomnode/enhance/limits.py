"""Thresholds of the guards that look at pixels. Loads no torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

Band = tuple[float, float, float, float]
"""(withhold below, flag below, flag above, withhold above)."""

LimitName = Literal[
    "clipped_share",
    "low_frequency_bias",
    "noise_sigma",
    "typical_noise",
    "noise_frequency",
    "noise_tail",
    "body_share",
    "change",
    "blob_score",
    "wide_blob_score",
    "edge_correlation",
    "pattern",
    "features",
]
"""The limits that a rule may move: those that are held against, none that shapes what goes out."""
GuardFactors = dict[LimitName, Annotated[float, Field(ge=0.7, le=1.5)]]
"""For a pipeline's `Params`: a factor by which a limit lies further out (above 1) or closer in (below 1)."""


@dataclass(frozen=True)
class FeatureReference:
    """Where the training images lie in the space of a network's bottleneck features.

    mean        (F,) what is taken off the features
    projection  (K, F) rows of K numbers with mean 0 and variance 1 over the calibration: distance = their RMS
    limits      the distance: (flag above, withhold above)
    """

    mean: tuple[float, ...]
    projection: tuple[tuple[float, ...], ...]
    limits: tuple[float, float]

    def __post_init__(self) -> None:
        if not self.projection or any(len(row) != len(self.mean) for row in self.projection):
            raise ValueError("the projection of the features does not fit their mean")


@dataclass(frozen=True)
class GuardLimits:
    """Thresholds of the pixel guards (design: GAN guards). None switches a guard off.

    residual_sigmas       residual is clipped to +- this many local noise sigmas (MAD of the high-pass)
    clipped_share         share of clipped pixels: (flag above, withhold above)
    low_frequency_sigma   Gaussian sigma in pixels; the residual's low-pass part is removed
    low_frequency_bias    largest low-pass residual before removal, physical units: (flag above, withhold above)
    body_above            pixels belong to the body where the mean around them is above this, physical units; None:
                          the whole image is body
    noise_sigma           noise measured in the input's flattest parts, physical units
    typical_noise         median over the slice of the local noise, physical units
    noise_frequency       mean frequency of that noise, cycles per pixel
    noise_tail            its power at 0.3 to 0.4 cycles per pixel over that at 0.15 to 0.25
    body_share            share of the input that is body
    change                RMS change in the body in units of the noise, at strength 1: too little, too much
    blob_score            largest local mean of the change (Gaussian of 1.5 px) in units of the local noise, at
                          strength 1: (flag above, withhold above)
    wide_blob_score       the same with a Gaussian of 4 px
    edge_correlation      of the change's energy with the edges of the input: (flag above, withhold above)
    pattern               highest peak of the change's spectrum over its surroundings, dB: (flag above, withhold above)
    features              distance in bottleneck features from the images of the training
    """

    residual_sigmas: float | None = None
    clipped_share: tuple[float, float] = (0.02, 0.10)
    low_frequency_sigma: float | None = None
    low_frequency_bias: tuple[float, float] = (10.0, 40.0)
    body_above: float | None = None
    noise_sigma: Band | None = None
    typical_noise: Band | None = None
    noise_frequency: Band | None = None
    noise_tail: Band | None = None
    body_share: Band | None = None
    change: Band | None = None
    blob_score: tuple[float, float] | None = None
    wide_blob_score: tuple[float, float] | None = None
    edge_correlation: tuple[float, float] | None = None
    pattern: tuple[float, float] | None = None
    features: FeatureReference | None = None

    def adjusted(self, factors: Mapping[LimitName, float]) -> "GuardLimits":
        """Limits moved by their factors; one that is switched off stays so. Without factors these very limits."""
        moved: dict[str, Any] = {}
        for name, factor in factors.items():
            limit = getattr(self, name)
            if isinstance(limit, FeatureReference):
                flag, withhold = _moved(limit.limits, factor)
                moved[name] = replace(limit, limits=(flag, withhold))
            elif limit is not None:
                moved[name] = _moved(limit, factor)
        return replace(self, **moved) if moved else self

    @property
    def look_at_pixels(self) -> bool:
        """Whether any guard is on that needs physical units and an unchanged grid."""
        bounds = (self.residual_sigmas, self.low_frequency_sigma)
        noise = (self.noise_sigma, self.typical_noise, self.noise_frequency, self.noise_tail)
        blobs = (self.blob_score, self.wide_blob_score)
        switches = (*bounds, *noise, self.body_share, self.change, *blobs, self.edge_correlation, self.pattern)
        return any(limit is not None for limit in switches)


def _moved(limits: tuple[float, ...], factor: float) -> tuple[float, ...]:
    """Each limit moved by a share of itself: the last two outwards are above, in a band the first two are below."""
    lower = len(limits) - 2
    signs = (-1 if row < lower else 1 for row in range(len(limits)))
    return tuple(limit + sign * (factor - 1) * abs(limit) for limit, sign in zip(limits, signs, strict=True))


def read_limits(path: Path) -> GuardLimits:
    """The limits in a TOML file: keys as the fields of `GuardLimits`, `[features]` as those of `FeatureReference`.

    Raises ValueError with one sentence: no file, not TOML, an unknown key, a value of another shape.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return _limits(document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"the guard limits {path.name} cannot be read: {error}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"the guard limits {path.name} are not complete: {error}") from error


def _limits(document: Mapping[str, Any]) -> GuardLimits:
    unknown = set(document) - {field.name for field in fields(GuardLimits)}
    if unknown:
        raise ValueError(f"there is no limit named {', '.join(sorted(unknown))}")
    values = {name: _frozen(value) for name, value in document.items() if name != "features"}
    for name, length in _LENGTHS.items():
        if name in values and (not isinstance(values[name], tuple) or len(values[name]) != length):
            raise ValueError(f"{name} takes {length} numbers")
    if "features" in document:
        table = document["features"]
        values["features"] = FeatureReference(**{name: _frozen(value) for name, value in table.items()})
    return GuardLimits(**values)


_LENGTHS = {
    **dict.fromkeys(("noise_sigma", "typical_noise", "noise_frequency", "noise_tail"), 4),
    **dict.fromkeys(("body_share", "change"), 4),
    **dict.fromkeys(("clipped_share", "low_frequency_bias", "blob_score", "wide_blob_score"), 2),
    **dict.fromkeys(("edge_correlation", "pattern"), 2),
}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
