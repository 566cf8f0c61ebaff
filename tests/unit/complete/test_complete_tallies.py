"""Facts of headers that are too large to be kept whole: the largest elements go, and are known to have gone."""

import json

import pytest
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

from dicomnode.complete import tallies
from dicomnode.complete.facts import Accumulator, instance_facts
from dicomnode.domain.facts import AttributeFacts, SeriesFacts

SMALL, LARGE = "0019,100C|OURS", "0019,1010|OURS"


def header(number: int = 1, private: dict[int, str] | None = None) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.{number}"
    dataset.Modality, dataset.Rows, dataset.Columns = "CT", 512, 512
    dataset.InstanceNumber = number
    for element, text in (private or {}).items():
        dataset.add_new((0x0019, 0x0010), "LO", "OURS")
        dataset[0x00190000 | element] = DataElement(0x00190000 | element, "LT", text)
    return dataset


def of(*headers: Dataset) -> SeriesFacts:
    accumulator = Accumulator()
    for each in headers:
        accumulator.add(each)
    return accumulator.facts()


def test_the_largest_elements_of_a_series_are_left_out_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.complete.facts.MAX_SERIES", 20_000)
    headers = [header(number, {0x100C: "b0", 0x1010: f"{number}" * 900}) for number in range(1, 25)]
    facts = of(*headers, header(99))
    assert facts.attributes[LARGE] == AttributeFacts("LT", {}, absent=1, left_out=True)
    assert facts.attributes[SMALL].values == {("b0",): 24}
    assert (facts.computed["image_count"], len(facts.attributes["SOPInstanceUID"].values)) == (25, 25)
    assert len(json.dumps(facts.to_json())) < 20_000
    assert SeriesFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


def test_what_was_left_out_once_is_left_out_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.complete.facts.MAX_SERIES", 2_000)
    whole = Accumulator()
    whole.merge(of(header(1, {0x1010: "x" * 1024})))
    whole.merge(of(header(2, {0x1010: "small"})))
    assert whole.facts().attributes[LARGE] == AttributeFacts("LT", {}, left_out=True)


def test_an_instance_with_very_many_elements_is_bounded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tallies, "MAX_INSTANCE", 500_000)
    many = {element: f"{element}" * 200 for element in range(0x1000, 0x1000 + 2500)}
    facts = instance_facts(header(1, many))
    assert len(json.dumps(facts.to_json())) < 500_000
    assert facts.only("Rows") == 512
    gone = [name for name, each in facts.attributes.items() if each.left_out]
    assert len(gone) == tallies.MAX_NAMED


def test_elements_beyond_those_that_are_named_do_not_come_back_and_the_standards_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where some were forgotten, one that is seen later may be one of them: then it lacked values."""
    monkeypatch.setattr(tallies, "MAX_NAMED", 3)
    monkeypatch.setattr("dicomnode.complete.facts.MAX_SERIES", 10_000)
    accumulator = Accumulator()
    accumulator.add(header(1, dict.fromkeys(range(0x1000, 0x1014), "x" * 1024)))
    later = header(2, dict.fromkeys(range(0x1000, 0x1014), "small"))
    later.SeriesDescription = "BRAIN"
    accumulator.add(later)
    facts = accumulator.facts()
    private = {name: each for name, each in facts.attributes.items() if "|" in name}
    assert sum(each.left_out for each in private.values()) == 3
    assert all(each.absent == 0 for each in private.values())
    assert facts.attributes["SeriesDescription"].values == {("BRAIN",): 1}


def test_an_enhanced_object_of_a_thousand_frames_is_kept_whole() -> None:
    dataset, frames = header(), []
    for number in range(1000):
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = [-120.5, -130.25, number * 0.5]
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    facts = instance_facts(dataset)
    assert not any(each.left_out for each in facts.attributes.values())
    path = "PerFrameFunctionalGroupsSequence.PlanePositionSequence.ImagePositionPatient"
    assert len(facts.attributes[path].values) == 1000
