"""Once lossily compressed, an image says so for ever."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of

from dicomnode.derive import CannotDerive, derive_instance

TRIPLE = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def triple(name: str) -> list[object]:
    made = parsed(derive_again(dcmread(file_of(name))))
    return [made.get(keyword) for keyword in TRIPLE]


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "693_J2KR.dcm"])
def test_lossless_stays_silent(name: str) -> None:
    assert triple(name) == [None, None, None]


def test_what_the_header_tells_is_kept() -> None:
    assert triple("RG1_UNCI.dcm") == ["01", 10, "ISO_15444_1"]
    assert triple("MR2_J2KR.dcm")[0] == "00"


@pytest.mark.parametrize("stated", [None, "00", "01"])
def test_lossy_transfer_syntax_is_told(stated: str | None) -> None:
    source = dcmread(file_of("RG3_J2KI.dcm"))
    for keyword in TRIPLE:
        if keyword in source:
            delattr(source, keyword)
    if stated is not None:
        source.LossyImageCompression = stated
    made = parsed(derive_again(source))
    assert made.LossyImageCompression == "01"
    assert made.LossyImageCompressionMethod == "ISO_15444_1"
    compressed = sum(map(len, generate_frames(source.PixelData, number_of_frames=1)))
    assert float(made.LossyImageCompressionRatio) == pytest.approx(1760 * 1760 * 2 / compressed, rel=0.01)


def test_a_second_compression_is_added_to_the_first() -> None:
    source = dcmread(file_of("RG3_J2KI.dcm"))
    source.LossyImageCompression = "01"
    source.LossyImageCompressionRatio, source.LossyImageCompressionMethod = "8", "ISO_10918_1"
    made = parsed(derive_again(source))
    assert list(made.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_15444_1"]
    assert len(made.LossyImageCompressionRatio) == 2
    assert made.LossyImageCompressionRatio[0] == 8


def test_the_length_comes_from_the_caller_or_there_is_no_instance() -> None:
    source = dcmread(file_of("RG3_J2KI.dcm"))
    pixels = pixels_of(source)
    for keyword in ("PixelData", *TRIPLE):
        if keyword in source:
            delattr(source, keyword)
    derivation = derivation_for(source)
    with pytest.raises(CannotDerive, match="length"):
        derive_instance(source, pixels, derivation, units="stored")
    made = parsed(derive_instance(source, pixels, derivation, units="stored", source_length=619_520))
    assert made.LossyImageCompressionRatio == 10


def test_derived_pixels_are_the_decoded_ones() -> None:
    source = dcmread(file_of("693_J2KI.dcm"))
    assert np.array_equal(parsed(derive_again(source)).pixel_array, pixels_of(source))
