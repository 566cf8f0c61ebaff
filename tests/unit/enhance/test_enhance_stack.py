"""Order in space, neighbours of the same kind only."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.stack import stacks


def source(uid: str, **elements: object) -> SourceImage:
    header = Dataset()
    header.Rows = header.Columns = 8
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return SourceImage(uid, header, lambda: np.zeros((8, 8), np.int16))


def uids(images: list[SourceImage]) -> list[list[str]]:
    return [[image.sop_uid for image in stack] for stack in stacks(images)]


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(7)),
    angle=st.floats(-3, 3),
    spacing=st.floats(0.5, 10),
)
def test_slices_follow_the_normal_whatever_their_numbers(order: list[int], angle: float, spacing: float) -> None:
    row = [np.cos(angle), np.sin(angle), 0.0]
    column = [0.0, 0.0, -1.0]
    normal = np.cross(row, column)
    images = [source(str(i), ImageOrientationPatient=[*row, *column], InstanceNumber=9 - i) for i in order]
    for image in images:
        image.header.ImagePositionPatient = [round(v, 6) for v in normal * spacing * int(image.sop_uid)]
    assert uids(images) == [[str(i) for i in range(7)]]


def test_without_geometry_by_instance_number() -> None:
    images = [source(str(number), InstanceNumber=number) for number in (3, 10, 1, 2)]
    assert uids(images) == [["1", "2", "3", "10"]]


def test_sizes_and_orientations_do_not_mix() -> None:
    axial, coronal = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
    images = [
        source("a", InstanceNumber=1, ImageOrientationPatient=axial, ImagePositionPatient=[0, 0, 0]),
        source("b", InstanceNumber=2, ImageOrientationPatient=coronal, ImagePositionPatient=[0, 1, 0]),
        source("c", InstanceNumber=3, ImageOrientationPatient=axial, ImagePositionPatient=[0, 0, 5]),
        source("d", InstanceNumber=4, Rows=16),
    ]
    assert sorted(uids(images)) == [["a", "c"], ["b"], ["d"]]


def test_phases_at_the_same_places_are_stacks_of_their_own() -> None:
    images = [
        source(
            f"{phase}{z}",
            InstanceNumber=10 * phase + z,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, float(z)],
        )
        for z in range(4)
        for phase in (2, 1)
    ]
    assert uids(images) == [["10", "11", "12", "13"], ["20", "21", "22", "23"]]


def test_broken_geometry_does_not_keep_a_series_from_being_sorted() -> None:
    images = [
        source("b", InstanceNumber=2, ImagePositionPatient=[0, 0], ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        source("a", InstanceNumber=1),
        source("c"),
    ]
    found = [uid for stack in uids(images) for uid in stack]
    assert sorted(found) == ["a", "b", "c"]
    assert all(x <= y for x, y in pairwise(uid for uid in found if uid != "c"))
