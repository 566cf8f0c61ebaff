"""Instances that complete a new generation while the job of the one before runs, and ends without outputs."""

from pathlib import Path

import pytest
from pydicom import dcmread
from support.flowbench import FlowBench
from support.series import make_ct_series

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: plain}
    deliver_to: [pacs]
"""

PLAIN = """
from dicomnode.enhance.api import Acceptance, Pipeline

class Plain(Pipeline):
    name, version, title, precision = "plain", "1.0.0", "Plain", "float32"

    def accepts(self, series):
        return Acceptance.yes()

    def skips(self, instance):
        return "a localizer" if "LOCALIZER" in instance.components("ImageType") else None

    def enhance(self, slices, params):
        return slices[:, 0]
"""


def receive_localizer(bench: FlowBench, file: Path) -> None:
    image = dcmread(file)
    image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    bench.receive(image)


def test_what_comes_while_a_job_ends_withheld_is_enhanced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So far there was nothing but a localizer."""
    localizer, *images = make_ct_series(tmp_path / "ct", 3, rows=32)
    bench = FlowBench(tmp_path / "node", RULE, PLAIN)
    receive_localizer(bench, localizer)
    bench.complete()

    def meanwhile(stage: str) -> None:
        if bench.enhancements()[0].generation == 1:
            bench.receive_files(images)
            bench.complete()

    monkeypatch.setattr("dicomnode.jobs.worker.checkpoint", meanwhile)
    bench.worker.run_one()
    (row,) = bench.enhancements()
    assert (row.state, row.generation, row.attempt) == ("ready", 2, 1)
    assert row.reason.startswith(
        "instances came while it ran and are still to be enhanced; of those before: no instance"
    )
    assert bench.events().count("enhancement.given_back") == 1
    bench.work()
    (row,) = bench.enhancements()
    assert (row.state, row.attempt) == ("done", 2)
    assert {output.source_sop_uid for output in bench.outputs()} == {dcmread(file).SOPInstanceUID for file in images}
