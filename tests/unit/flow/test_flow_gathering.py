"""Facts gathered before completion: the same as at completion, and never those of other bytes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from sqlalchemy import select, update
from support.flowbench import FlowBench

from dicomnode.db.models import Series, SeriesFactsRow
from dicomnode.flow import complete_due
from dicomnode.flow.completing import gathering
from dicomnode.flow.completing.gathering import Gathered
from dicomnode.flow.context import facts_of_all


@pytest.fixture(autouse=True)
def _soon_is_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """What falls due soon must not have fallen due when a busy machine comes to look."""
    monkeypatch.setattr(gathering, "SOON", timedelta(minutes=1))


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path)


def ct(number: int = 1) -> Dataset:
    dataset = dcmread(get_testdata_file("CT_small.dcm", download=False))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.InstanceNumber = number
    return dataset


def fall_due(bench: FlowBench, seconds: float) -> None:
    with bench.flow.database.write() as session:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        session.execute(update(Series).values(due_at=at, wait_for_aet=""))


def kept_facts(bench: FlowBench) -> list[SeriesFactsRow]:
    with bench.flow.database.read() as session:
        return list(session.scalars(select(SeriesFactsRow)))


def counting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every reading of a whole series' headers, by its UID."""
    found: list[str] = []

    def counted(flow, rows, series):  # type: ignore[no-untyped-def]
        found.append(series.uid)
        return facts_of_all(flow, rows, series)

    monkeypatch.setattr("dicomnode.flow.completing.gathering.facts_of_all", counted)
    return found


def test_what_is_gathered_before_is_not_read_again(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    read, gathered = counting(monkeypatch), Gathered(bench.flow)
    for number in (1, 2):
        bench.receive(ct(number))
    fall_due(bench, 40.0)
    gathered.gather()
    gathered.gather()
    assert len(read) == 1
    fall_due(bench, -1.0)
    assert complete_due(bench.flow, gathered) == 1
    assert len(read) == 1
    (row,) = kept_facts(bench)
    assert row.facts["computed"]["instance_count"] == 2


def test_nothing_is_gathered_of_what_is_far_from_due(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    read, gathered = counting(monkeypatch), Gathered(bench.flow)
    bench.receive(ct())
    fall_due(bench, 600.0)
    gathered.gather()
    assert read == []


def test_facts_of_fewer_instances_are_not_believed(bench: FlowBench) -> None:
    gathered = Gathered(bench.flow)
    bench.receive(ct(1))
    fall_due(bench, 40.0)
    gathered.gather()
    bench.receive(ct(2))
    fall_due(bench, -1.0)
    assert complete_due(bench.flow, gathered) == 1
    (row,) = kept_facts(bench)
    assert row.instance_count == row.facts["computed"]["instance_count"] == 2
