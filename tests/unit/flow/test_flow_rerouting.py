"""Work goes to another pipeline than the rule says; what comes of it goes where the rule sends it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.flowbench import FlowBench
from support.otherpipeline import OTHER
from support.series import make_ct_series

from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import enhancements
from dicomnode.flow.enhancing.rerouting import reroute
from dicomnode.jobs.operators import operator_moves

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
    deadline_minutes: 10
"""


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node", RULE, OTHER)


def receive(bench: FlowBench, files: list[Path]) -> Enhancement:
    bench.receive_files(files)
    bench.complete()
    return bench.enhancements()[0]


def sent(bench: FlowBench, id: int, pipeline: str = "other", **params: Any) -> int:
    with bench.flow.database.write() as session:
        row = enhancements.find(session, id)
        assert row is not None
        return reroute(bench.flow, session, row, pipeline, params, "anna", datetime.now(UTC)).id


def states(bench: FlowBench) -> dict[int, tuple[str, str]]:
    return {row.id: (row.pipeline, row.state) for row in bench.enhancements()}


def test_work_that_waits_is_done_by_another_pipeline_and_delivered_as_the_rule_says(
    bench: FlowBench, tmp_path: Path
) -> None:
    row = receive(bench, make_ct_series(tmp_path / "ct", 3, rows=32))
    target = sent(bench, row.id, gain=0.5)
    assert bench.work() == 1
    assert states(bench) == {row.id: ("passthrough", "cancelled"), target: ("other", "done")}
    (delivery,) = bench.deliveries()
    assert (delivery.destination, delivery.enhancement_id) == ("pacs", target)
    (decision,) = bench.decisions()
    assert (decision.enhancement_id, decision.outcome) == (target, "matches: passthrough; anna sent it to other")
    assert bench.enhancements()[1].params == {"gain": 0.5}
    with bench.flow.database.read() as session:
        (event,) = audit_rows.listing(session, limit=9, kind="enhancement.rerouted")
    assert event.detail == {"to": target, "pipeline": "other", "params": {"gain": 0.5}}


def test_a_late_slice_follows_to_the_other_pipeline(bench: FlowBench, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", 4, rows=32)
    row = receive(bench, files[:3])
    target = sent(bench, row.id)
    bench.work()
    receive(bench, files[3:])
    bench.work()
    assert states(bench) == {row.id: ("passthrough", "cancelled"), target: ("other", "done")}
    assert {output.enhancement_id for output in bench.outputs()} == {target}
    assert len(bench.items()) == 4


def test_there_and_back_again(bench: FlowBench, tmp_path: Path) -> None:
    row = receive(bench, make_ct_series(tmp_path / "ct", 3, rows=32))
    other = sent(bench, row.id)
    assert sent(bench, other, "passthrough") == row.id
    bench.work()
    assert states(bench) == {row.id: ("passthrough", "done"), other: ("other", "cancelled")}
    assert [delivery.enhancement_id for delivery in bench.deliveries()] == [row.id]


def test_to_work_that_is_done_already_only_the_delivery_is_new(bench: FlowBench, tmp_path: Path) -> None:
    second = RULE.replace("every image", "second").replace("passthrough}", "other}").replace("[pacs]", "[archive]")
    bench.import_site(RULE + second)
    row = receive(bench, make_ct_series(tmp_path / "ct", 3, rows=32))
    with bench.flow.database.write() as session:
        found = enhancements.find(session, row.id)
        assert found is not None
        operator_moves(session, found, "cancelled", "anna", "n", datetime.now(UTC))
    bench.work()
    sent(bench, row.id)
    assert bench.work() == 0
    assert sorted(delivery.destination for delivery in bench.deliveries()) == ["archive", "pacs"]


@pytest.mark.parametrize(
    ("slices", "pipeline", "params", "reason"),
    [
        (5, "other", {}, "other declines: five are too many"),
        (3, "othr", {}, "there is no pipeline named othr; did you mean other?"),
        (3, "other", {"gain": 7}, "pipeline other: gain: Input should be less than or equal to 2"),
        (3, "passthrough", {}, "job 1 is of passthrough with these parameters already"),
    ],
)
def test_what_cannot_be_changes_nothing_and_says_why(
    bench: FlowBench, tmp_path: Path, slices: int, pipeline: str, params: dict[str, Any], reason: str
) -> None:
    row = receive(bench, make_ct_series(tmp_path / "ct", slices, rows=32))
    with pytest.raises(ValueError, match="^" + reason.replace("?", r"\?")):
        sent(bench, row.id, pipeline, **params)
    assert states(bench) == {row.id: ("passthrough", "ready")}


def test_what_is_done_stays(bench: FlowBench, tmp_path: Path) -> None:
    row = receive(bench, make_ct_series(tmp_path / "ct", 3, rows=32))
    bench.work()
    with pytest.raises(ValueError, match="job 1 is done: it cannot go to another pipeline"):
        sent(bench, row.id)
