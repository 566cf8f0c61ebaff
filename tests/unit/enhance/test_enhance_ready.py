"""Which slices may be enhanced while others are still coming in; what was noted of a header stands for it."""

import json

import pytest
from pydicom import Dataset

from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.note import Note
from dicomnode.enhance.ready import ready
from dicomnode.enhance.spot import Spot, spot_of
from dicomnode.enhance.stack import stacks


def never() -> None:
    raise AssertionError("nothing is decoded here")


def at(*places: float) -> tuple[list[SourceImage], dict[str, Spot]]:
    """A stack of slices at these places."""
    images = [SourceImage(f"1.{number}", Dataset(), never) for number in range(len(places))]
    return images, {f"1.{number}": Spot(("512",), place, number) for number, place in enumerate(places)}


@pytest.mark.parametrize(
    ("places", "neighbours", "found"),
    [
        ((0, 1, 2, 3), 0, [0, 1, 2, 3]),
        ((0, 1, 2, 3), 1, [1, 2]),
        ((0, 1, 2, 3, 4), 2, [2]),
        ((0, 1), 1, []),
        ((), 1, []),
        ((0, 1, 2, 10, 11, 12), 1, [1, 4]),
        ((0, 2.5, 5, 7.4, 10), 1, [1, 2, 3]),
    ],
)
def test_ends_and_holes_wait(places: tuple[float, ...], neighbours: int, found: list[int]) -> None:
    assert ready(*at(*places), neighbours, is_quiet=False) == found
    assert ready(*at(*places), neighbours, is_quiet=True) == list(range(len(places)))


def header(number: int, z: float) -> Dataset:
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.InstanceNumber = 4, 5, number
    dataset.ImageOrientationPatient = [1, 0, -0.0, 0, 1, 0]
    dataset.ImagePositionPatient = [0, 0, z]
    return dataset


def test_a_spot_stands_for_its_header() -> None:
    headers = {f"1.{number}": header(number, 0.1 * number) for number in (3, 1, 2)}
    read = [SourceImage(uid, one, never) for uid, one in headers.items()]
    spots = {uid: Spot.from_json(json.loads(json.dumps(spot_of(one).to_json()))) for uid, one in headers.items()}
    unread = [SourceImage(uid, Dataset(), never) for uid in headers]
    order = [["1.1", "1.2", "1.3"]]
    assert [[image.sop_uid for image in stack] for stack in stacks(read)] == order
    assert [[image.sop_uid for image in stack] for stack in stacks(unread, spots)] == order
    assert spots["1.3"] == spot_of(headers["1.3"])


def test_a_note_survives_json() -> None:
    facts = SeriesFacts({"KVP": AttributeFacts("DS", {(120.0,): 1})}, {})
    for note in (Note("a localizer"), Note("", spot_of(header(1, -0.3)), facts)):
        assert Note.from_json(json.loads(json.dumps(note.to_json()))) == note
