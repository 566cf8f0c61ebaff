"""Noise in a uniform region: the same pixels before, after and at full dose."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicomnode.cli.common import fail

Image = NDArray[np.float64]

SIZE = 20
SOFT_TISSUE_HU = (0.0, 100.0)


@dataclass(frozen=True)
class Region:
    """A square of `SIZE` pixels: its first row and column, counted from 0 at the top left."""

    row: int
    column: int

    def sd(self, hu: Image) -> float:
        """Standard deviation of the region's HU."""
        return float(self._cut(hu).std())

    def mean(self, hu: Image) -> float:
        return float(self._cut(hu).mean())

    def _cut(self, hu: Image) -> Image:
        return hu[self.row : self.row + SIZE, self.column : self.column + SIZE]


@dataclass(frozen=True)
class Comparison:
    """One slice in HU as it was sent, as it came back, and at full dose, with the region it is measured in."""

    before: Image
    after: Image
    full_dose: Image
    region: Region

    def sd(self) -> tuple[float, float, float]:
        """Noise before, after and at full dose, HU."""
        return self.region.sd(self.before), self.region.sd(self.after), self.region.sd(self.full_dose)

    def mean(self) -> tuple[float, float, float]:
        """Mean of the region before, after and at full dose, HU."""
        return self.region.mean(self.before), self.region.mean(self.after), self.region.mean(self.full_dose)


def compare(before: Dataset, after: Dataset, full_dose: Dataset) -> Comparison:
    """Three data sets of one slice. The region is chosen on the full dose, which the noise under test is not in."""
    reference = hu_of(full_dose)
    return Comparison(hu_of(before), hu_of(after), reference, most_uniform(reference))


def hu_of(dataset: Dataset) -> Image:
    """Stored values through the rescale of PS3.3 C.11.1, (H, W)."""
    slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    return np.asarray(dataset.pixel_array, np.float64) * slope + intercept


def most_uniform(hu: Image) -> Region:
    """The square of soft tissue whose values vary least. Raises CommandFailed where the slice has no soft tissue."""
    mean, square = _means(hu), _means(hu**2)
    spread = square - mean**2
    low, high = SOFT_TISSUE_HU
    spread[(mean < low) | (mean > high)] = np.inf
    row, column = np.unravel_index(int(spread.argmin()), spread.shape)
    if not np.isfinite(spread[row, column]):
        fail("the slice has no soft tissue to measure noise in")
    return Region(int(row), int(column))


def _means(values: Image) -> Image:
    """Mean of the square that begins at each pixel, by sums over the columns and then the rows."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums = total[SIZE:, SIZE:] - total[:-SIZE, SIZE:] - total[SIZE:, :-SIZE] + total[:-SIZE, :-SIZE]
    return np.asarray(sums / SIZE**2)
