"""The modality LUT: slope and intercept, tables, and values that give none."""

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.pixels.processing import apply_modality_lut

from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.modality import modality_lut

STORED = np.array([[0, 1], [2, 65535]], np.uint16)


def header(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_slope_and_intercept() -> None:
    physical = modality_lut(header(RescaleSlope="0.5", RescaleIntercept="-1024"), STORED)
    assert physical.dtype == np.float32
    assert physical.tolist() == [[-1024.0, -1023.5], [-1023.0, 31743.5]]


def test_a_real_ct_is_in_hounsfield_units() -> None:
    image = dcmread(get_testdata_file("CT_small.dcm", download=False))
    expected = apply_modality_lut(image.pixel_array, image).astype(np.float32)
    assert np.array_equal(modality_lut(image, image.pixel_array), expected)


def test_without_any_the_stored_values() -> None:
    assert modality_lut(header(), STORED).tolist() == STORED.tolist()


def test_a_table_goes_before_slope_and_intercept() -> None:
    table = header(LUTDescriptor=[4, 0, 16], LUTData=[10, 20, 30, 40])
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "US"
    both = header(ModalityLUTSequence=[table], RescaleSlope="2", RescaleIntercept="0")
    assert modality_lut(both, STORED).tolist() == [[10, 20], [30, 40]]


@pytest.mark.parametrize("slope", ["0", "inf", "nan"])
def test_a_slope_that_gives_nothing_is_refused(slope: str) -> None:
    dataset = header()
    dataset.RescaleSlope = float(slope)
    with pytest.raises(CannotDecode, match="Rescale Slope"):
        modality_lut(dataset, STORED)
