"""A new grid covers the same rectangle of the patient."""

from typing import Any

import numpy as np
import pytest
from highdicom.spatial import ImageToReferenceTransformer
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from support.derivations import derivation_for, file_of, parsed, pixels_of

from dicomnode.derive import CannotDerive, derive_instance
from dicomnode.derive.geometry import resampled

millimetres = st.floats(-500, 500)


@st.composite
def oriented(draw: st.DrawFn) -> list[float]:
    """Two perpendicular unit vectors."""
    vectors = st.lists(st.floats(-1, 1), min_size=3, max_size=3).map(np.array)
    row = draw(vectors.filter(lambda vector: np.linalg.norm(vector) > 0.1))
    other = draw(vectors.filter(lambda vector: np.linalg.norm(np.cross(row, vector)) > 0.1))
    row = row / np.linalg.norm(row)
    column = np.cross(np.cross(row, other), row)
    return [*row, *(column / np.linalg.norm(column))]


def image(position: Any, orientation: Any, spacing: Any, shape: tuple[int, int]) -> Dataset:
    made = Dataset()
    made.Rows, made.Columns = shape
    made.ImagePositionPatient = [f"{value:.9g}" for value in position]
    made.ImageOrientationPatient = [f"{value:.9f}" for value in orientation]
    made.PixelSpacing = [f"{value:.9g}" for value in spacing]
    return made


def corners_of(dataset: Dataset) -> np.ndarray[Any, Any]:
    """The outer corners (4, 3) in mm, by highdicom's transformer: a witness who does not know our formula."""
    place = ImageToReferenceTransformer(
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    )
    rows, columns = dataset.Rows, dataset.Columns
    found: np.ndarray[Any, Any] = place(np.array([[0, 0], [columns, 0], [0, rows], [columns, rows]], float))
    return found


@given(
    st.tuples(millimetres, millimetres, millimetres),
    oriented(),
    st.tuples(st.floats(0.05, 4), st.floats(0.05, 4)),
    st.tuples(st.integers(2, 512), st.integers(2, 512)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_outer_corners_stay(position: Any, orientation: Any, spacing: Any, shape: Any, factors: Any) -> None:
    source = image(position, orientation, spacing, shape)
    finer = Dataset()
    finer.ImageOrientationPatient = source.ImageOrientationPatient
    for keyword, value in resampled(source, shape[0] * factors[0], shape[1] * factors[1]).items():
        setattr(finer, keyword, value)
    assert np.abs(corners_of(source) - corners_of(finer)).max() < 1e-3


def test_by_the_numbers() -> None:
    source = image((-100.0, -50.0, 7.0), (1, 0, 0, 0, 1, 0), (2.0, 1.0), (64, 32))
    new = resampled(source, 128, 64)
    assert [float(value) for value in new["PixelSpacing"]] == [1.0, 0.5]
    assert [float(value) for value in new["ImagePositionPatient"]] == [-100.25, -50.5, 7.0]


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm"])
def test_derived_file_has_the_sources_corners(name: str) -> None:
    source = dcmread(file_of(name))
    pixels = pixels_of(source)
    finer = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    derivation = derivation_for(source, same_grid=False)
    made = parsed(derive_instance(source, finer, derivation, units="stored", source_pixels=pixels))
    assert np.abs(corners_of(source) - corners_of(made)).max() < 1e-3
    assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert made.SliceThickness == source.SliceThickness
    assert made.SourceImageSequence[0].SpatialLocationsPreserved == "NO"
    assert all(len(str(value)) <= 16 for value in [*made.PixelSpacing, *made.ImagePositionPatient])


def test_projections_scale_their_detector_spacing() -> None:
    source = Dataset()
    source.Rows, source.Columns, source.ImagerPixelSpacing = 10, 20, [0.2, 0.1]
    new = resampled(source, 20, 40)
    assert [float(value) for value in new["ImagerPixelSpacing"]] == [0.1, 0.05]
    assert "ImagePositionPatient" not in new


def test_a_position_without_orientation_is_refused() -> None:
    source = image((0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1), (4, 4))
    del source.ImageOrientationPatient
    with pytest.raises(CannotDerive, match="orientation"):
        resampled(source, 8, 8)
