"""When a series is due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import CTImageStorage

from dicomnode.complete.evidence import Evidence, Manifest, due, dues
from dicomnode.complete.facts import combine, instance_facts
from dicomnode.settings import CompletionSettings

NOON = datetime(2024, 1, 31, 12, tzinfo=UTC)
SETTINGS = CompletionSettings()


def evidence(count: int, **changes: object) -> Evidence:
    known = {
        "image_count": count,
        "instance_numbers": tuple(range(1, count + 1)),
        "announced": frozenset(),
        "acquisitions": frozenset({1}),
        "senders": frozenset({"CT1"}),
        "sop_uids": tuple(f"1.2.{number}" for number in range(count)),
    }
    return Evidence(last_arrival=NOON, **{**known, **changes})


def test_quiet_time_when_nothing_else_is_known():
    found = due(evidence(133), SETTINGS)
    assert found.at == NOON + timedelta(seconds=60)
    assert found.reason == "no instance for 60 s"
    assert not found.needs_closed_association


@given(st.integers(0, 500))
def test_numbers_alone_prove_nothing(count):
    assert len(dues(evidence(count), SETTINGS)) == 1


def test_all_announced_images_after_the_grace_time_unless_the_sender_still_talks():
    found = due(evidence(133, announced=frozenset({133})), SETTINGS)
    assert found.at == NOON + timedelta(seconds=1)
    assert found.reason == "all 133 images the modality announced have arrived"
    assert found.needs_closed_association
    assert (
        due(evidence(133, announced=frozenset({133})), SETTINGS, association_open=True).reason == "no instance for 60 s"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"announced": frozenset({134})},
        {"announced": frozenset({132})},
        {"announced": frozenset({133, 5})},
        {"announced": frozenset({0})},
        {"acquisitions": frozenset({1, 2})},
        {"acquisitions": frozenset()},
        {"lacks_numbers": True},
        {"instance_numbers": tuple(range(2, 135))},
        {"instance_numbers": (*range(1, 133), 132)},
        {"image_count": 132},
    ],
)
def test_an_announcement_that_does_not_fit_waits_for_the_quiet_time(changes):
    fitting = {"announced": frozenset({133})}
    found = dues(evidence(133, **{**fitting, **changes}), SETTINGS)
    assert [each.reason for each in found] == ["no instance for 60 s"]


def test_command_and_manifest_are_due_at_once():
    asked = due(evidence(3, commanded_by="admin"), SETTINGS)
    assert (asked.at, asked.reason) == (NOON, "admin asked for completion")
    listed = Manifest("key object document", frozenset({"1.2.0", "1.2.2"}))
    found = due(evidence(3, manifests=(listed,)), SETTINGS, association_open=True)
    assert (found.at, found.reason) == (NOON, "all 2 instances listed by the key object document have arrived")
    missing = Manifest("storage commitment request", frozenset({"1.2.0", "1.2.9"}))
    assert len(dues(evidence(3, manifests=(missing, Manifest("IAN", frozenset()))), SETTINGS)) == 1


def test_quiet_time_per_sender_the_longest_counts():
    own = CompletionSettings(quiet_seconds=30, per_sender={"SLOW": 300, "CT1": 5})
    assert due(evidence(3), own).reason == "no instance for 5 s"
    assert due(evidence(3, senders=frozenset({"CT1", "SLOW "})), own).at == NOON + timedelta(seconds=300)
    assert due(evidence(3, senders=frozenset({"CT1", "OTHER"})), own).at == NOON + timedelta(seconds=30)
    assert due(evidence(3, senders=frozenset()), own).at == NOON + timedelta(seconds=30)


def instance(number: int, **elements: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.{number}"
    dataset.Rows = dataset.Columns = 8
    dataset.InstanceNumber, dataset.AcquisitionNumber, dataset.ImagesInAcquisition = number, 1, 4
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def of(*instances: Dataset) -> Evidence:
    facts = combine(instance_facts(each, calling_aet="CT1") for each in instances)
    return Evidence.of(facts, NOON)


def test_evidence_from_facts():
    full = of(*(instance(number) for number in (3, 1, 4, 2)))
    assert full.senders == {"CT1"}
    assert full.sop_uids == {"1.2.1", "1.2.2", "1.2.3", "1.2.4"}
    assert due(full, SETTINGS).needs_closed_association
    assert not due(of(*(instance(number) for number in (1, 2, 3))), SETTINGS).needs_closed_association
    repeated = of(*(instance(number, InstanceNumber=min(number, 3)) for number in (1, 2, 3, 4)))
    assert not due(repeated, SETTINGS).needs_closed_association
    silent = instance(4)
    del silent.AcquisitionNumber
    assert of(*(instance(number) for number in (1, 2, 3)), silent).lacks_numbers
    broken = of(instance(1, ImagesInAcquisition=1, Rows=0))
    assert not due(broken, SETTINGS).needs_closed_association
