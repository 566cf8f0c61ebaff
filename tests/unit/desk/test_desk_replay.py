"""Replays: what they find and warn of, how they go on, end, and begin again."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from support.desks import ANA, IS_CT, change, rule, tried
from support.flowbench import FlowBench
from support.rulesets import real_file

from dicomnode.db.models import AuditEvent, Replay, SeriesFactsRow
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.replay import inline_name, read_replay, replay_changes, start_replay, stop_replay
from dicomnode.desk.rules.replaying import crew, running
from dicomnode.desk.rules.replaying.findings import summary
from dicomnode.desk.rules.replaying.loop import Replayer, abandon_replays
from dicomnode.desk.rules.replaying.running import run_replay
from dicomnode.desk.rules.replaying.tally import tally
from dicomnode.enhance.registry import Registry

LIVE = """
  - name: chest
    state: live
    when: {attribute: Modality, equals: CT}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""

THOROUGH = """
from dicomnode.enhance.api import Acceptance, Pipeline


class Thorough(Pipeline):
    name, version, title, precision = "thorough", "1.0.0", "thorough", "float32"

    def accepts(self, series):
        return Acceptance.yes() if series.only("Modality") == "CT" else Acceptance.no("only CT")

    def enhance(self, slices, params):
        return slices[:, 0]
"""


@pytest.fixture
def bench(tmp_path: Path, each_database: None) -> FlowBench:
    """Three CT series and two of MR, decided on by a live rule for CT."""
    bench = FlowBench(tmp_path / "node", LIVE)
    for name in ("CT_small.dcm",) * 3 + ("MR_small.dcm",) * 2:
        dataset = real_file(name)
        dataset.SeriesInstanceUID = generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        bench.receive(dataset)
    bench.complete()
    return bench


def kinds(row: Replay) -> set[tuple[str, str]]:
    return {(each["kind"], each["rule"] or each["pipeline"]) for each in row.result["warnings"]}


def test_what_is_gained_and_lost_is_told_series_by_series(bench: FlowBench) -> None:
    change(bench, rule(when={"attribute": "Modality", "equals": "MR"}), "chest")
    row = tried(bench)
    assert (row.state, row.total, row.done, row.changed) == ("done", 5, 5, 5)
    assert row.result["summary"] == "5 series, 5 change: 2 gain passthrough, 3 lose"
    (figures,) = row.result["rules"]
    assert {name: figures[name] for name in ("matched", "matched_before", "gains", "loses")} == {
        "matched": 2, "matched_before": 3, "gains": 2, "loses": 3,
    }  # fmt: skip
    found = replay_changes(bench.flow, row.id)
    assert sorted(each.kind for each in found) == ["gains"] * 2 + ["loses"] * 3
    lost = next(each for each in found if each.kind == "loses")
    assert lost.before["outcome"] == "matches: passthrough"
    assert lost.after["outcome"] == "does not match: Modality equals MR: seen CT"
    assert len(replay_changes(bench.flow, row.id, rule="chest", kind="gains")) == 2
    assert [each.id for each in replay_changes(bench.flow, row.id, after=found[0].id)] == [e.id for e in found[1:]]


def test_shadows_others_and_renames_are_told_apart(bench: FlowBench) -> None:
    change(bench, rule(priority="stat"), "chest")
    assert tried(bench).result["summary"] == "5 series, 3 change: 3 otherwise (parameters, destinations, priority)"
    change(bench, rule("torso"), "chest")
    assert tried(bench).result["summary"] == "5 series, none changes"
    change(bench, rule("MR", "shadow", {"attribute": "Modality", "equals": "MR"}))
    assert tried(bench).result["summary"] == "5 series, 2 change: 2 as a shadow only"
    change(bench, rule("torso", "shadow"), "torso")
    assert tried(bench).result["loses"] == {"passthrough": 3}


def test_warnings_say_what_to_look_at(bench: FlowBench) -> None:
    change(bench, rule("never", "shadow", {"all": [IS_CT, {"not": IS_CT}]}))
    change(bench, rule("nothing", "shadow", {"attribute": "Modality", "equals": "US"}))
    change(bench, rule("thick", "live", IS_CT, pipeline="ct-denoise"))
    assert kinds(tried(bench)) == {
        ("contradiction", "never"), ("no_match", "nothing"), ("declined", "ct-denoise"), ("not_shadowed", "thick"),
    }  # fmt: skip


def test_a_rule_whose_every_series_is_declined_is_told_though_its_pipeline_takes_others(bench: FlowBench) -> None:
    (bench.root / "pipelines/thorough.py").write_text(THOROUGH, encoding="utf-8")
    bench.flow.registry.entries = Registry.load([bench.root / "pipelines"]).entries
    change(bench, rule("MR", "shadow", {"attribute": "Modality", "equals": "MR"}, pipeline="thorough"))
    change(bench, rule("CT", "shadow", IS_CT, pipeline="thorough"))
    row = tried(bench)
    assert kinds(row) == {("declined", "MR")}
    (warning,) = row.result["warnings"]
    assert warning["message"] == "rule MR leads to nothing: thorough takes none of the 2 series that fit it"


def test_a_shadow_that_goes_live_as_another_is_told(bench: FlowBench) -> None:
    document = read_draft(bench.flow).document()
    import_site(bench.flow, ANA, {**document, "rules": [rule("new", "shadow")]}, "")
    change(bench, rule("new"), "new")
    assert kinds(tried(bench)) == set()
    change(bench, rule("new", when={"all": []}), "new")
    (warning,) = tried(bench).result["warnings"]
    assert "another condition or pipeline than the one that ran as a shadow" in warning["message"]


def test_an_empty_period_says_nothing(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "empty", LIVE)
    change(bench, rule("more", "shadow"))
    row = tried(bench)
    assert (row.result["summary"], kinds(row)) == ("0 series, none changes", {("empty", "")})
    for days in (0, -1, 1e9):
        with pytest.raises(Refused):
            start_replay(bench.flow, ANA, days=days)


def test_generations_of_earlier_versions_are_told(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        for row in session.scalars(select(SeriesFactsRow)):
            row.circumstances = {}
    change(bench, rule("more", "shadow"))
    assert ("circumstances", "") in kinds(tried(bench))


def test_children_find_what_this_process_finds(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SHORT", 0)
    monkeypatch.setattr(running, "SIZE", 2)
    change(bench, rule(when={"attribute": "Modality", "equals": "MR"}), "chest")
    results: list[dict[str, Any]] = []
    for processes in (0, 2):
        row = run_replay(bench.flow, start_replay(bench.flow, ANA, inline=True), processes=processes)
        assert row.state == "done", row.reason
        found = replay_changes(bench.flow, row.id)
        results.append({**row.result, "seconds": 0, "per_second": 0, "found": [(e.series_uid, e.kind) for e in found]})
    assert results[0] == results[1]


def test_a_child_that_dies_is_a_failed_replay(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SHORT", 0)
    monkeypatch.setattr(crew, "_MODULE", "dicomnode.no_such_module")
    row = run_replay(bench.flow, start_replay(bench.flow, ANA, inline=True), processes=1)
    assert (row.state, row.reason) == ("failed", f"a process of the replay ended with status 1: {crew.IF_ONE_DIES}")
    assert bench.events()[-1] == "replay.finished"


def test_changes_are_bounded_and_counted(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_CHANGES", 2)
    change(bench, rule(when={"attribute": "Modality", "equals": "MR"}), "chest")
    row = tried(bench)
    assert (row.result["changes_kept"], row.result["changes_left_out"], row.changed) == (2, 3, 5)
    assert len(replay_changes(bench.flow, row.id)) == 2


def test_progress_is_in_its_row_and_somebody_can_stop_it(bench: FlowBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SIZE", 1)
    monkeypatch.setattr(running, "TELL_SECONDS", 0.0)
    change(bench, rule("more", "shadow"))
    replay_id = start_replay(bench.flow, ANA, inline=True)
    seen = []

    def told(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 3:
            assert read_replay(bench.flow, replay_id).done == 2
            stop_replay(bench.flow, ANA, replay_id)

    row = run_replay(bench.flow, replay_id, told)
    assert (row.state, row.reason, row.result) == ("stopped", "by ana", {})
    assert seen == [(0, 5), (1, 5), (2, 5), (3, 5)]
    with pytest.raises(Refused, match="is over: stopped"):
        stop_replay(bench.flow, ANA, replay_id)


def test_the_node_runs_what_it_is_asked_and_ends_what_an_earlier_life_began(bench: FlowBench) -> None:
    change(bench, rule("more", "shadow"))
    left = start_replay(bench.flow, ANA)
    of_a_command = start_replay(bench.flow, ANA, inline=True)
    assert abandon_replays(bench.flow) == 1
    assert (read_replay(bench.flow, left).state, read_replay(bench.flow, of_a_command).state) == ("failed", "running")
    assert read_replay(bench.flow, of_a_command).node == inline_name(bench.flow)
    loop = Replayer(bench.flow)
    loop.start()
    try:
        wait_for(lambda: loop._begun)
        asked = start_replay(bench.flow, ANA)
        wait_for(lambda: read_replay(bench.flow, asked).state == "done")
    finally:
        loop.stop()
    with bench.flow.database.read() as session:
        ends = session.scalars(select(AuditEvent).where(AuditEvent.kind == "replay.finished")).all()
    assert [(event.subject, event.detail["state"]) for event in ends] == [
        (f"replay:{left}", "failed"), (f"replay:{asked}", "done"),
    ]  # fmt: skip


def test_a_node_that_stops_says_so(bench: FlowBench) -> None:
    halt = threading.Event()
    halt.set()
    row = run_replay(bench.flow, start_replay(bench.flow, ANA), halt=halt)
    assert (row.state, row.reason) == ("failed", "the node was stopped; ask again")


def test_a_series_is_explained_by_the_draft_as_well(bench: FlowBench) -> None:
    change(bench, rule(when={"attribute": "Modality", "equals": "MR"}), "chest")
    uid = next(row.series_uid for row in bench.decisions() if row.matched)
    now, then = explain_series(bench.flow, uid), explain_series(bench.flow, uid, draft=True)
    assert (now.revision, now.rules[0].decided, now.rules[0].acts) == (1, "matches: passthrough", True)
    assert (then.revision, then.rules[0].decided) == (None, "does not match: Modality equals MR: seen CT")


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_summary_is_a_sentence() -> None:
    counts = tally() | {"series": 214, "changed": 9, "gains": {"ct-denoise": 7}, "loses": {"ct-denoise": 2}}
    assert summary(counts) == "214 series, 9 change: 7 gain ct-denoise, 2 lose"
    counts |= {"changed": 1, "gains": {}, "loses": {"a": 1}}
    assert summary(counts) == "214 series, 1 changes: 1 loses a"
