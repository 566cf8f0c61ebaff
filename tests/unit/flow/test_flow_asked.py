"""Somebody has a pipeline run on a series by hand: through the ledger, to where it was asked for, and nowhere else."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.flowbench import FlowBench
from support.otherpipeline import OTHER
from support.series import make_ct_series

from dicomnode.db.repositories import audit as audit_rows
from dicomnode.db.repositories import enhancements
from dicomnode.db.repositories import series as series_rows
from dicomnode.flow.enhancing.asked import Asked, NotNow, ask
from dicomnode.jobs.operators import operator_moves

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node", pipelines=OTHER)


def arrive(bench: FlowBench, folder: Path, n: int = 3, *, complete: bool = True, **more: Any) -> str:
    files = make_ct_series(folder, n, rows=32, **more)
    bench.receive_files(files)
    if complete:
        bench.complete()
    return str(bench.series()[0].uid)


def asked(
    bench: FlowBench, uid: str, pipeline: str = "other", *to: str, priority: str = "normal", **params: Any
) -> int:
    with bench.flow.database.write() as session:
        series = series_rows.lock(session, [uid])[uid]
        what = Asked(pipeline, params, to, priority)
        return ask(bench.flow, session, series, what, "anna", datetime.now(UTC)).id


def test_it_is_computed_and_goes_where_it_was_asked_for(bench: FlowBench, tmp_path: Path) -> None:
    uid = arrive(bench, tmp_path)
    assert bench.enhancements() == []
    job = asked(bench, uid, "other", "archive", gain=0.5, priority="stat")
    assert bench.work() == 1
    row = bench.enhancements()[0]
    assert (row.id, row.state, row.priority, row.params) == (job, "done", 0, {"gain": 0.5})
    assert len(bench.outputs()) == 3
    assert [(each.destination, each.enhancement_id) for each in bench.deliveries()] == [("archive", job)]
    assert {item.sop_uid for item in bench.items()} == {output.sop_uid for output in bench.outputs()}
    decision = bench.decisions()[0]
    assert (decision.rule, decision.rule_state, decision.deliver_to) == ("by hand: other", "live", ["archive"])
    with bench.flow.database.read() as session:
        events = audit_rows.listing(session, limit=9, kind="series.run")
    assert [(event.actor, event.series_uid, event.detail["deliver_to"]) for event in events] == [
        ("anna", uid, ["archive"])
    ]
    assert events[0].detail["params"] == {"gain": 0.5}


def test_without_destinations_it_is_computed_and_sent_nowhere(bench: FlowBench, tmp_path: Path) -> None:
    asked(bench, arrive(bench, tmp_path))
    assert bench.work() == 1
    assert len(bench.outputs()) == 3
    assert bench.deliveries() == []


def test_what_was_done_already_is_sent_and_not_done_again(bench: FlowBench, tmp_path: Path) -> None:
    bench.import_site(RULE)
    uid = arrive(bench, tmp_path)
    bench.work()
    job = asked(bench, uid, "passthrough", "archive")
    assert bench.work() == 0
    assert {each.destination: each.enhancement_id for each in bench.deliveries()} == {"pacs": job, "archive": job}
    assert asked(bench, uid, "passthrough", "archive") == job
    assert len(bench.deliveries()) == 2
    by_hand = [row.rule for row in bench.decisions() if row.rule.startswith("by hand")]
    assert by_hand == ["by hand: passthrough", "by hand: passthrough (2)"]


def test_who_asks_again_wants_it_tried_again(bench: FlowBench, tmp_path: Path) -> None:
    uid = arrive(bench, tmp_path)
    job = asked(bench, uid)
    with bench.flow.database.write() as session:
        operator_moves(session, enhancements.locked(session, job), "cancelled", "otto", "n", datetime.now(UTC))
    assert asked(bench, uid, "other", "pacs") == job
    assert bench.work() == 1
    assert [each.destination for each in bench.deliveries()] == ["pacs"]


@pytest.mark.parametrize(
    ("pipeline", "to", "params", "why"),
    [
        ("othr", (), {}, "did you mean other"),
        ("other", (), {"gain": 7}, "gain"),
        ("other", (), {"volume": 1}, "volume"),
        ("other", ("nowhere",), {}, "no destination nowhere"),
        ("other", (), {"priority": "never"}, "priority is one of"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bench: FlowBench, tmp_path: Path, pipeline: str, to: tuple[str, ...], params: dict[str, Any], why: str
) -> None:
    uid = arrive(bench, tmp_path)
    with pytest.raises(ValueError, match=why):
        asked(bench, uid, pipeline, *to, **params)
    assert bench.enhancements() == []
    assert bench.decisions() == []


def test_a_pipeline_may_decline(bench: FlowBench, tmp_path: Path) -> None:
    uid = arrive(bench, tmp_path, 5)
    with pytest.raises(ValueError, match="other declines: five are too many"):
        asked(bench, uid)


def test_a_series_that_still_comes_in_is_waited_for(bench: FlowBench, tmp_path: Path) -> None:
    uid = arrive(bench, tmp_path, complete=False)
    with pytest.raises(NotNow, match="still expected"):
        asked(bench, uid)


def test_a_late_image_asks_the_rules_alone(bench: FlowBench, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 3, rows=32)
    bench.receive_files(files[:2])
    bench.complete()
    uid = str(bench.series()[0].uid)
    asked(bench, uid, "other", "pacs")
    bench.work()
    bench.receive_files(files[2:])
    bench.complete()
    assert bench.work() == 0
    assert len(bench.outputs()) == 2
    asked(bench, uid, "other", "pacs")
    assert bench.work() == 1
    assert len(bench.outputs()) == len(bench.items()) == 3
