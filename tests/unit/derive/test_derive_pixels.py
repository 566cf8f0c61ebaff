"""Pixels there and back: rescale, range of BitsStored, padding, odd lengths, colour."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset, dcmread
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of

from dicomnode.derive import CannotDerive, derive_instance
from dicomnode.derive.pixels import PixelFormat, stored_pixels


def header(bits: int = 12, *, signed: bool = False, shape: tuple[int, int] = (4, 5), **values: Any) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns = shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit = (8 if bits <= 8 else 16), bits, bits - 1
    made.PixelRepresentation = int(signed)
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def stored(source: Dataset, pixels: np.ndarray[Any, Any], units: Any, own: Any = None) -> np.ndarray[Any, Any]:
    return stored_pixels(source, pixels, PixelFormat.of(source), units, own)


@st.composite
def rescaled(draw: st.DrawFn) -> tuple[Dataset, np.ndarray[Any, Any]]:
    """A header of any bits, sign and rescale, and stored values of its range.

    Slope and intercept as they occur: an intercept of more than a million steps leaves float32 no digits.
    """
    signed = draw(st.booleans())
    source = header(draw(st.integers(2, 16)), signed=signed)
    slope = draw(st.floats(1e-4, 1e4)) * draw(st.sampled_from([1, -1]))
    source.RescaleSlope = f"{slope:.8g}"
    source.RescaleIntercept = f"{slope * draw(st.floats(-1e6, 1e6)):.8g}"
    form = PixelFormat.of(source)
    low, high = form.range
    return source, draw(arrays(form.dtype, (4, 5), elements=st.integers(low, high)))


@given(rescaled())
def test_physical_values_go_back_exactly(case: tuple[Dataset, np.ndarray[Any, Any]]) -> None:
    source, values = case
    physical = (values * float(source.RescaleSlope) + float(source.RescaleIntercept)).astype(np.float32)
    back = stored(source, physical, "physical")
    assert back.dtype == PixelFormat.of(source).dtype
    assert np.array_equal(back, values)


@given(st.integers(1, 16), st.booleans(), arrays(np.float32, (4, 5), elements=st.floats(-1e6, 1e6, width=32)))
def test_values_stay_in_the_bits_stored(bits: int, signed: bool, values: np.ndarray[Any, Any]) -> None:
    source = header(bits, signed=signed)
    back = stored(source, values, "physical")
    low, high = PixelFormat.of(source).range
    assert back.min() >= low
    assert back.max() <= high


@given(
    arrays(np.int16, (4, 5), elements=st.integers(-2001, 50)),
    arrays(np.int16, (4, 5), elements=st.integers(-2003, 50)),
    st.sampled_from([None, -2002, -1990]),
)
def test_padding_is_where_the_source_has_it(own: Any, enhanced: Any, limit: int | None) -> None:
    source = header(16, signed=True, PixelPaddingValue=-2000)
    if limit is not None:
        source.PixelPaddingRangeLimit = limit
    ends = sorted((-2000, -2000 if limit is None else limit))
    back = stored(source, enhanced, "stored", own)
    mask = (own >= ends[0]) & (own <= ends[1])
    assert np.array_equal((back >= ends[0]) & (back <= ends[1]), mask)
    assert np.array_equal(back[mask], own[mask])
    untouched = ~mask & ((enhanced < ends[0]) | (enhanced > ends[1]))
    assert np.array_equal(back[untouched], enhanced[untouched])


@pytest.mark.parametrize(("padding", "moved_to"), [(0, 1), (4095, 4094), (100, 99)])
def test_stray_padding_moves_to_the_next_value(padding: int, moved_to: int) -> None:
    source = header(12, PixelPaddingValue=padding)
    own = np.full((4, 5), 50, np.uint16)
    assert set(np.unique(stored(source, np.full((4, 5), padding, np.uint16), "stored", own))) == {moved_to}


def test_padding_of_the_wrong_sign_is_read_by_its_bits() -> None:
    source = header(16, signed=True)
    source.add_new("PixelPaddingValue", "US", 63536)
    own = np.full((4, 5), -2000, np.int16)
    assert (stored(source, np.zeros((4, 5), np.float32), "physical", own) == -2000).all()


def test_padding_on_a_finer_grid_follows_the_source() -> None:
    source = header(16, signed=True, shape=(8, 10), PixelPaddingValue=-2000)
    own = np.zeros((4, 5), np.int16)
    own[1, 2] = -2000
    back = stored(source, np.full((8, 10), 7.0, np.float32), "physical", own)
    assert (back[2:4, 4:6] == -2000).all()
    assert (back == -2000).sum() == 4


def test_a_scanners_own_value_outside_the_bits_stays() -> None:
    own = np.full((4, 5), 5000, np.uint16)
    enhanced = own.copy()
    enhanced[0, 0] = 6000
    back = stored(header(12), enhanced, "stored", own)
    assert back[0, 0] == 4095
    assert (back.ravel()[1:] == 5000).all()


def test_what_cannot_be_stored_is_refused() -> None:
    nothing = np.full((4, 5), np.nan, np.float32)
    with pytest.raises(CannotDerive, match="NaN"):
        stored(header(), nothing, "physical")
    with pytest.raises(CannotDerive, match="shape"):
        stored(header(), np.zeros((5, 4), np.uint16), "stored")
    with pytest.raises(CannotDerive, match="integers"):
        stored(header(), np.zeros((4, 5), np.float32), "stored")
    with pytest.raises(CannotDerive, match="its own pixels"):
        stored(header(PixelPaddingValue=0), np.zeros((4, 5), np.uint16), "stored")
    with pytest.raises(CannotDerive, match="table"):
        stored(header(ModalityLUTSequence=[Dataset()]), np.zeros((4, 5), np.float32), "physical")
    with pytest.raises(CannotDerive, match="turned back"):
        stored(header(RescaleSlope=0), np.zeros((4, 5), np.float32), "physical")
    with pytest.raises(CannotDerive, match="HighBit"):
        PixelFormat.of(header(HighBit=15))


@pytest.mark.parametrize("name", ["examples_jpeg2k.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_small_odd_jpeg.dcm"])
def test_decoded_colour_says_rgb(name: str) -> None:
    source = dcmread(file_of(name))
    made = parsed(derive_again(source))
    assert (made.PhotometricInterpretation, made.PlanarConfiguration) == ("RGB", 0)
    assert len(made.PixelData) % 2 == 0
    assert np.array_equal(made.pixel_array, pixels_of(source))


def test_palette_indices_keep_their_palette() -> None:
    source = dcmread(file_of("examples_palette.dcm"))
    made = parsed(derive_again(source))
    assert made.PhotometricInterpretation == "PALETTE COLOR"
    assert made.RedPaletteColorLookupTableData == source.RedPaletteColorLookupTableData


def test_rgb_of_a_palette_loses_the_palette() -> None:
    source = dcmread(file_of("examples_palette.dcm"))
    colour = np.stack([pixels_of(source)] * 3, axis=-1)
    made = parsed(derive_instance(source, colour, derivation_for(source), units="stored"))
    assert (made.PhotometricInterpretation, made.SamplesPerPixel, made.PlanarConfiguration) == ("RGB", 3, 0)
    assert "RedPaletteColorLookupTableDescriptor" not in made
    assert np.array_equal(made.pixel_array, colour)


def test_colour_has_no_physical_units() -> None:
    source = dcmread(file_of("examples_rgb_color.dcm"))
    pixels = pixels_of(source).astype(np.float32)
    with pytest.raises(CannotDerive, match="colour"):
        derive_instance(source, pixels, derivation_for(source), units="physical")
