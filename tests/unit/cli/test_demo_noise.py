"""The uniform region: found on the full dose, measured on all three images."""

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomnode.cli.common import CommandFailed
from dicomnode.cli.demo.noise import SIZE, Comparison, Region, hu_of, most_uniform


def chest(seed: int = 0) -> np.ndarray:
    """Air around soft tissue of 40 HU with 10 HU of noise; a calmer square, and still calmer lung, bone and air."""
    rng = np.random.default_rng(seed)
    hu = np.full((128, 160), -1000.0)
    hu[10:118, 10:150] = 40 + rng.normal(0, 10, (108, 140))
    hu[60 : 60 + SIZE, 90 : 90 + SIZE] = 50 + rng.normal(0, 2, (SIZE, SIZE))
    hu[20:45, 20:45] = -850
    hu[80:110, 20:50] = 700
    return hu


def test_the_calmest_soft_tissue_is_found_although_lung_bone_and_air_are_calmer() -> None:
    assert most_uniform(chest()) == Region(60, 90)


def test_the_choice_is_that_of_a_search_over_every_place() -> None:
    hu = chest(1)
    windows = np.lib.stride_tricks.sliding_window_view(hu, (SIZE, SIZE))
    spread, mean = windows.var(axis=(2, 3)), windows.mean(axis=(2, 3))
    spread = np.where((mean >= 0) & (mean <= 100), spread, np.inf)
    row, column = np.unravel_index(spread.argmin(), spread.shape)
    assert most_uniform(hu) == Region(int(row), int(column))


def test_a_slice_without_soft_tissue_is_refused_in_words() -> None:
    with pytest.raises(CommandFailed, match="no soft tissue"):
        most_uniform(np.full((64, 64), -1000.0))


def test_figures_are_of_the_regions_own_pixels() -> None:
    image = np.zeros((64, 64))
    image[10 : 10 + SIZE, 30 : 30 + SIZE] = np.tile([8.0, 12.0], (SIZE, SIZE // 2))
    comparison = Comparison(image, image / 2, image * 0 + 7, Region(10, 30))
    assert comparison.sd() == (2.0, 1.0, 0.0)
    assert comparison.mean() == (10.0, 5.0, 7.0)


def test_stored_values_become_hu_by_the_rescale() -> None:
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    expected = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    assert float(dataset.RescaleIntercept) == -1024
    assert np.array_equal(hu_of(dataset), expected)
