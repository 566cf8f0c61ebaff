"""Which of several results of a series is looked at first, and what is said of each."""

from pathlib import Path

import pytest
from sqlalchemy import update
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.models import Delivery
from dicomnode.desk.series.results import Result, first, results, worded

pytestmark = pytest.mark.torch

LIVE_AND_SHADOW = """
  - {name: tried, state: shadow, when: {all: []}, enhance: {pipeline: lift}}
  - {name: used, state: live, when: {all: []}, enhance: {pipeline: passthrough}, deliver_to: [pacs, archive]}
"""
LIFT = """
from dicomnode.enhance.api import Acceptance, Pipeline, PipelineParams

class Lift(Pipeline):
    name, version, title, precision = "lift", "1.0.0", "Lift", "float32"
    class Params(PipelineParams):
        strength: float = 0.9
    def accepts(self, series):
        return Acceptance.yes()
    def enhance(self, slices, params):
        return slices[:, 0] + 1
"""


def of(bench: FlowBench) -> dict[str, Result]:
    with bench.flow.database.read() as session:
        return {each.pipeline: each for each in results(session, bench.series()[0].uid)}


def test_what_was_delivered_comes_before_what_a_shadow_made(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node", LIVE_AND_SHADOW, LIFT)
    bench.receive_files(make_ct_series(tmp_path, 1, rows=32))
    bench.complete()
    assert bench.work() == 2
    found = of(bench)
    assert found["lift"].shadow
    assert found["lift"].standing == "sent nowhere"
    assert found["lift"].maker == "lift 1.0.0, strength 0.9"
    assert found["passthrough"].standing == "not delivered: pending for pacs, pending for archive"
    assert first(list(found.values())) == found["passthrough"]
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).where(Delivery.destination == "archive").values(state="sent"))
    assert of(bench)["passthrough"].standing == "delivered to archive"


def test_the_newest_that_was_delivered_is_the_first() -> None:
    def made(job: int, *delivered: str, shadow: bool = False) -> Result:
        return Result(job, "p", "1", {}, delivered, shadow, "", "")

    assert first([]) is None
    for found, job in (
        ([made(1), made(2, shadow=True)], 1),
        ([made(1, "pacs"), made(2, "pacs"), made(3)], 2),
        ([made(1, shadow=True), made(2, shadow=True)], 2),
    ):
        shown = first(found)
        assert shown
        assert shown.job == job


def test_parameters_are_told_but_empty_ones() -> None:
    params = {"strength": 0.9, "guards": {}, "limits": {"noise": 3, "bias": None}, "label": ""}
    assert list(worded(params)) == ["strength 0.9", "limits noise 3"]
