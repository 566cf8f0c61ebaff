"""Pixels back into the stored form of the source: rescaled, clipped, padding restored, as bytes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from dicomnode.derive.errors import CannotDerive

Units = Literal["stored", "physical"]
Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class PixelFormat:
    """The Image Pixel module (C.7.6.3), as far as it says how one frame is stored."""

    rows: int
    columns: int
    samples: int
    photometric: str
    bits_allocated: int
    bits_stored: int
    signed: bool

    @classmethod
    def of(cls, source: Dataset) -> "PixelFormat":
        """Raises CannotDerive for what this writer cannot store."""
        try:
            found = cls(
                rows=int(source.Rows),
                columns=int(source.Columns),
                samples=int(source.get("SamplesPerPixel", 1)),
                photometric=str(source.PhotometricInterpretation),
                bits_allocated=int(source.BitsAllocated),
                bits_stored=int(source.BitsStored),
                signed=int(source.PixelRepresentation) == 1,
            )
            high_bit = int(source.get("HighBit", found.bits_stored - 1))
        except (AttributeError, TypeError, ValueError) as error:
            raise CannotDerive(f"the source's Image Pixel module is not complete: {error}") from error
        if found.bits_allocated not in (8, 16, 32) or not 1 <= found.bits_stored <= found.bits_allocated:
            raise CannotDerive(f"{found.bits_stored} of {found.bits_allocated} bits cannot be written")
        if high_bit != found.bits_stored - 1:
            raise CannotDerive(f"HighBit {high_bit} does not go with BitsStored {found.bits_stored}")
        if found.rows < 1 or found.columns < 1 or found.samples not in (1, 3):
            raise CannotDerive("the source has no image, or one of a form that cannot be written")
        return found

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.bits_allocated // 8}")

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest value of BitsStored bits."""
        if self.signed:
            return -(1 << self.bits_stored - 1), (1 << self.bits_stored - 1) - 1
        return 0, (1 << self.bits_stored) - 1

    @property
    def length(self) -> int:
        """Bytes of one uncompressed frame, without the pad byte."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def rescale(source: Dataset) -> tuple[float, float]:
    """Slope and intercept of the modality LUT (C.11.1); (1, 0) where there is none. Raises CannotDerive for a table."""
    if source.get("ModalityLUTSequence"):
        raise CannotDerive("the source's modality LUT is a table: physical values cannot be turned back")
    slope, intercept = source.get("RescaleSlope"), source.get("RescaleIntercept")
    found = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    if not (np.isfinite(found).all() and found[0]):
        raise CannotDerive(f"RescaleSlope {slope} and RescaleIntercept {intercept} cannot be turned back")
    return found


def stored_pixels(
    source: Dataset, pixels: Pixels, form: PixelFormat, units: Units, source_pixels: Pixels | None
) -> Pixels:
    """`pixels` as stored integers of `form`: (H, W), or (H, W, 3) for colour.

    Physical values go back by round((v - intercept) / slope). Both kinds are clipped to the range of BitsStored; a
    stored value outside it stays where it is the source's own. Padding is put back where the source has it and its
    value is taken away elsewhere (C.7.5.1.1.2). `source_pixels` (H, W) are the source's, as decoded.
    """
    grid = (form.rows, form.columns) if form.samples == 1 else (form.rows, form.columns, form.samples)
    if pixels.shape != grid:
        raise CannotDerive(f"pixels of shape {pixels.shape} do not fit {grid}")
    low, high = form.range
    if units == "physical":
        if form.samples != 1 or form.photometric == "PALETTE COLOR":
            raise CannotDerive("colour has no physical units")
        slope, intercept = rescale(source)
        values = (pixels.astype(np.float64) - intercept) / slope
        if not np.isfinite(values).all():
            raise CannotDerive("the pixels hold NaN or infinity")
        stored = np.clip(np.rint(values, out=values), low, high, out=values).astype(form.dtype)
    elif pixels.dtype.kind in "iu":
        stored = pixels
        if pixels.size and (pixels.min() < low or pixels.max() > high):
            stored = np.clip(pixels, low, high)
        stored = stored.astype(form.dtype)
        if source_pixels is not None and source_pixels.shape == pixels.shape:
            own = (pixels == source_pixels) & (stored != pixels)
            stored[own] = pixels[own].astype(form.dtype)
    else:
        raise CannotDerive(f"stored pixels are integers, not {pixels.dtype}")
    padding = padding_range(source, form)
    return stored if padding is None else _padded(stored, source_pixels, padding, form)


def padding_range(source: Dataset, form: PixelFormat) -> tuple[int, int] | None:
    """Least and greatest padding value as stored, or None. A value written with the wrong sign is read by its bits."""
    value = source.get("PixelPaddingValue")
    if value is None or form.samples != 1 or not isinstance(value, int):
        return None
    limit = source.get("PixelPaddingRangeLimit")
    ends = [_by_bits(end, form) for end in (value, limit if isinstance(limit, int) else value)]
    return min(ends), max(ends)


def padding_mask(source_pixels: Pixels, padding: tuple[int, int], grid: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    """Where the source has padding, on `grid`: each new pixel asks the source pixel under its centre."""
    mask = (source_pixels >= padding[0]) & (source_pixels <= padding[1])
    for axis, size in enumerate(grid):
        if mask.shape[axis] != size:
            nearest = (np.arange(size) * 2 + 1) * mask.shape[axis] // (2 * size)
            mask = np.take(mask, nearest, axis=axis)
    return mask


def pixel_bytes(stored: Pixels) -> bytes:
    """Native little endian, without the pad byte."""
    return np.ascontiguousarray(stored).tobytes()


def _padded(stored: Pixels, source_pixels: Pixels | None, padding: tuple[int, int], form: PixelFormat) -> Pixels:
    if source_pixels is None:
        raise CannotDerive("the source has a PixelPaddingValue: its own pixels are needed to put padding back")
    mask = padding_mask(source_pixels, padding, stored.shape)
    stray = (stored >= padding[0]) & (stored <= padding[1]) & ~mask
    if stray.any():
        low, high = form.range
        above, below = padding[1] + 1, padding[0] - 1
        if above > high and below < low:
            raise CannotDerive("every stored value of the source is padding")
        to_below = below >= low and (above > high or abs(below) < abs(above))
        stored[stray] = below if to_below else above
    if stored.shape == source_pixels.shape:
        stored[mask] = source_pixels[mask].astype(form.dtype)
    else:
        stored[mask] = padding[0]
    return stored


def _by_bits(value: int, form: PixelFormat) -> int:
    information = np.iinfo(form.dtype)
    if information.min <= value <= information.max:
        return value
    wrapped = value & ((1 << form.bits_allocated) - 1)
    return wrapped - (1 << form.bits_allocated) if form.signed and wrapped > information.max else wrapped
