"""The flow in one process: from stored instances to committed outputs and planned deliveries."""

from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import update
from support.flowbench import FlowBench
from support.series import make_ct_series, make_mixed_study

from dicomnode.db.models import Enhancement
from dicomnode.domain.provenance import is_derived_by_dicomnode

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

PASSTHROUGH = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 4, rows=32)


def test_one_derived_instance_per_source_and_a_delivery(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    bench.receive_files(files)
    assert bench.complete() == 1
    assert bench.work() == 1
    outputs = bench.outputs()
    assert {output.source_sop_uid for output in outputs} == {str(dcmread(file).SOPInstanceUID) for file in files}
    for output in outputs:
        derived = bench.read(output)
        assert derived.SOPInstanceUID == output.sop_uid
        assert is_derived_by_dicomnode(derived)
    (delivery,) = bench.deliveries()
    assert (delivery.destination, delivery.state) == ("pacs", "pending")
    assert len(bench.items()) == 4
    assert bench.work() == 0


def test_a_late_slice_joins_the_same_derived_series(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    bench.receive_files(files[:3])
    bench.complete()
    bench.work()
    first = {output.sop_uid: output.sha256 for output in bench.outputs()}
    bench.receive_files(files[3:])
    bench.complete()
    assert bench.work() == 1
    after = {output.sop_uid: output.sha256 for output in bench.outputs()}
    assert len(after) == 4
    assert first.items() <= after.items()
    assert len({str(bench.read(output).SeriesInstanceUID) for output in bench.outputs()}) == 1
    assert [series.generation for series in bench.series()] == [2]
    assert len(bench.items()) == 4


def test_two_rules_share_the_work_and_deliver_to_both(tmp_path: Path, files: list[Path]) -> None:
    second = PASSTHROUGH.replace("every image", "again").replace("[pacs]", "[archive, pacs]")
    bench = FlowBench(tmp_path / "node", PASSTHROUGH + second)
    bench.receive_files(files)
    bench.complete()
    assert bench.work() == 1
    assert len(bench.enhancements()) == 1
    assert sorted(delivery.destination for delivery in bench.deliveries()) == ["archive", "pacs"]


def test_a_rule_that_comes_later_finds_the_work_done(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    bench.receive_files(files[:3])
    bench.complete()
    bench.work()
    bench.import_site(PASSTHROUGH.replace("[pacs]", "[archive]"))
    bench.receive_files(files[3:])
    bench.complete()
    bench.work()
    counts = {delivery.destination: 0 for delivery in bench.deliveries()}
    for item in bench.items():
        counts[{row.id: row.destination for row in bench.deliveries()}[item.delivery_id]] += 1
    assert counts == {"pacs": 4, "archive": 4}


def test_mixed_studies_fail_nothing(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    mixed = make_mixed_study(tmp_path / "mixed", n=3, rows=32)
    for found in mixed.values():
        bench.receive_files(found if isinstance(found, list) else [found])
    assert bench.complete() == len(bench.series()) >= 5
    bench.work()
    assert {row.state for row in bench.enhancements()} <= {"done", "withheld"}
    declined = [row.outcome for row in bench.decisions() if "declines" in row.outcome]
    assert len(declined) >= 3
    assert all(row.state == "complete" for row in bench.series())


def test_what_a_dicomnode_derived_is_neither_enhanced_nor_forwarded(tmp_path: Path, files: list[Path]) -> None:
    forward = "\n  - name: onward\n    state: live\n    when: {all: []}\n    forward_original_to: [archive]\n"
    bench = FlowBench(tmp_path / "node", PASSTHROUGH + forward)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    before = len(bench.items())
    for output in bench.outputs():
        bench.receive(bench.read(output), calling_aet="PACS")
    bench.complete()
    assert bench.work() == 0
    assert len(bench.items()) == before
    assert any("never enhanced again" in row.outcome for row in bench.decisions())


def test_originals_are_planned_on_arrival_but_never_back_to_where_they_came_from(
    tmp_path: Path, files: list[Path]
) -> None:
    forward = """
  - name: onward
    state: live
    when: {attribute: Modality, equals: CT}
    forward_original_to: [archive, pacs]
"""
    bench = FlowBench(tmp_path / "node", forward)
    bench.receive_files(files, calling_aet="PACS ")
    assert [delivery.destination for delivery in bench.deliveries()] == ["archive"]
    assert len(bench.items()) == 4
    assert bench.series()[0].state == "receiving"


def test_a_draft_does_nothing(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH.replace("state: live", "state: draft"))
    bench.receive_files(files)
    bench.complete()
    assert bench.work() == 0
    assert bench.decisions() == []


def test_a_shadow_is_measured_and_sends_nothing_until_it_is_live(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH.replace("state: live", "state: shadow"))
    bench.receive_files(files[:3])
    bench.complete()
    assert bench.work() == 1
    (row,) = bench.enhancements()
    assert (row.state, row.priority) == ("done", 3)
    assert bench.deliveries() == []
    bench.import_site(PASSTHROUGH)
    bench.receive_files(files[3:])
    bench.complete()
    bench.work()
    assert len(bench.items()) == 4


VETO = '''
"""Doubles every value: the residual bound must veto it."""
from dicomnode.enhance.api import Acceptance, Envelope, GuardLimits, Pipeline

class Veto(Pipeline):
    name, version, title = "veto", "1.0.0", "veto"
    envelope = Envelope(number={"SliceThickness": (90.0, 100.0)}, required=("SliceThickness",))

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        return slices[:, 0] * 2
'''


def test_a_veto_means_originals_only_with_the_reason(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH.replace("passthrough", "veto"), VETO)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    (row,) = bench.enhancements()
    assert (row.state, row.verdict) == ("withheld", "withhold")
    assert "SliceThickness" in row.reason
    assert bench.outputs() == []
    assert bench.deliveries() == []
    assert "enhancement.withheld" in bench.events()


def test_a_late_commit_past_the_deadline_delivers_originals_only(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH + "    deadline_minutes: 0.0001\n")
    bench.receive_files(files)
    bench.complete()
    bench.work()
    (row,) = bench.enhancements()
    assert row.state == "expired"
    assert bench.deliveries() == []


def test_a_worker_that_lost_its_claim_commits_nothing(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    bench.receive_files(files)
    bench.complete()

    def taken_away(stage: str) -> None:
        if stage == "staged":
            with bench.flow.database.write() as session:
                session.execute(update(Enhancement).values(attempt=Enhancement.attempt + 1))

    monkeypatch.setattr("dicomnode.jobs.worker.checkpoint", taken_away)
    bench.worker.run_one()
    assert bench.outputs() == []
    assert bench.deliveries() == []
    assert bench.enhancements()[0].state == "running"


def test_a_correction_outdates_what_was_derived(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", PASSTHROUGH)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    corrected = dcmread(files[0])
    corrected.PatientID = "SOMEBODY-ELSE"
    bench.receive(corrected)
    assert [row.state for row in bench.enhancements()] == ["outdated"]
    assert bench.events().count("instance.correction") == 1
