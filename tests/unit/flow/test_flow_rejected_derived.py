"""A rejection note that names what this node derived: it is outdated, and those who do not know it yet are told."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.db.models import Outdating
from dicomnode.flow.outdated.rejecting import note_outdated

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULES = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs, ward, archive]
"""
DESTINATIONS = """
destinations:
  - {name: pacs, kind: dimse, ae_title: PACS, host: 127.0.0.1, port: 104, rejection_notes: true}
  - {name: ward, kind: dimse, ae_title: WARD, host: 127.0.0.1, port: 105, rejection_notes: true}
  - {name: archive, kind: dimse, ae_title: ARCHIVE, host: 127.0.0.1, port: 106}
rules:
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


@pytest.fixture
def bench(tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> FlowBench:
    """What was derived of two of three slices: `pacs` and `ward` have it, `archive` waits for it."""
    monkeypatch.setattr("support.flowbench._SITE", DESTINATIONS)
    bench = FlowBench(tmp_path / "node", RULES)
    bench.receive_files(files[:2])
    bench.complete()
    bench.work()
    bench.have_all_but("archive")
    return bench


def derived(bench: FlowBench, folder: Path) -> list[Path]:
    paths = []
    for number, output in enumerate(bench.outputs()):
        bench.read(output).save_as(path := folder / f"derived-{number}.dcm", enforce_file_format=True)
        paths.append(path)
    return paths


def reject(bench: FlowBench, named: Sequence[Path], folder: Path, by: str) -> None:
    bench.receive(dcmread(rejection_of(named, folder / f"note-{by}.dcm", SAFETY)), by)


def told(bench: FlowBench) -> set[str]:
    note_outdated(bench.flow)
    return {row.destination for row in bench.deliveries() if row.subject.startswith("rejection:")}


def test_it_is_outdated_and_not_sent_further(bench: FlowBench, tmp_path: Path) -> None:
    reject(bench, derived(bench, tmp_path), tmp_path, "QC")
    reason = "QC rejected 2 of the derived instances: Rejected for Patient Safety Reasons"
    assert [(row.state, row.reason) for row in bench.enhancements()] == [("outdated", reason)]
    with bench.flow.database.read() as session:
        assert [(row.code, row.reason) for row in session.scalars(select(Outdating))] == [(SAFETY, reason)]
    assert {row.destination: row.state for row in bench.deliveries()} == {
        "archive": "cancelled",
        "pacs": "sent",
        "ward": "sent",
    }
    assert bench.events().count("enhancement.outdated") == 1


def test_a_late_slice_does_not_join_it(bench: FlowBench, files: list[Path], tmp_path: Path) -> None:
    reject(bench, derived(bench, tmp_path), tmp_path, "QC")
    bench.receive_files(files[2:])
    bench.complete()
    assert bench.work() == 0
    assert [row.state for row in bench.enhancements()] == ["outdated"]


@pytest.mark.parametrize(
    ("by", "count", "expected"),
    [("QC", 2, {"pacs", "ward"}), ("PACS", 2, {"ward"}), ("PACS", 1, {"pacs", "ward"})],
)
def test_who_rejected_all_of_it_is_not_told(
    bench: FlowBench, tmp_path: Path, by: str, count: int, expected: set[str]
) -> None:
    """The note lists the whole series: who named a part of it is told of the rest."""
    reject(bench, derived(bench, tmp_path)[:count], tmp_path, by)
    assert told(bench) == expected


def test_who_rejects_all_of_the_source_is_told_of_what_was_derived(
    bench: FlowBench, files: list[Path], tmp_path: Path
) -> None:
    reject(bench, files[:2], tmp_path, "PACS")
    assert told(bench) == {"pacs", "ward"}
