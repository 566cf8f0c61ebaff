"""Facts of a series that cannot be read: a replay goes on without it, and names it."""

from pathlib import Path

import pytest
from support.desks import ANA, IS_CT, PACS, rule
from support.pastseries import remember
from support.webapp import Headless, headless

from dicomnode.db.models import Replay, SeriesFactsRow
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.draft import save_draft
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.rules.replay import start_replay
from dicomnode.desk.rules.replaying import comparing, running


@pytest.fixture
def node(tmp_path: Path) -> Headless:
    """Seven CT series; the draft has a live rule for CT."""
    node = headless(tmp_path)
    for number in range(1, 8):
        remember(node.flow, number)
    save_draft(node.flow, ANA, {"destinations": [PACS], "rules": [rule(when=IS_CT)]}, 0)
    return node


def damage(node: Headless, number: int) -> str:
    uid = f"1.2.840.{number}"
    with node.flow.database.write() as session:
        session.get_one(SeriesFactsRow, (uid, 1)).facts = {"attributes": {"Modality": {"vr": "CS"}}, "computed": {}}
    return uid


def replayed(node: Headless) -> Replay:
    return running.run_replay(node.flow, start_replay(node.flow, ANA, inline=True))


def test_the_others_are_decided_on_and_it_is_named(node: Headless) -> None:
    uid = damage(node, 3)
    row = replayed(node)
    assert (row.state, row.done, row.changed) == ("done", 7, 6)
    assert row.result["summary"] == "6 series, 6 change: 6 gain passthrough"
    assert (row.result["unreadable"], row.result["unreadable_series"]) == (1, [uid])
    assert row.result["warnings"][0] == {
        "kind": "unreadable", "rule": "", "pipeline": "",
        "message": f"what is kept of 1 series cannot be read, and no figure here tells of them: {uid}",
    }  # fmt: skip


def test_of_many_some_are_named(node: Headless) -> None:
    for number in range(1, 8):
        damage(node, number)
    row = replayed(node)
    assert (row.state, row.result["series"], len(row.result["unreadable_series"])) == ("done", 0, 5)
    (first, *others) = [each["kind"] for each in row.result["warnings"]]
    assert first == "unreadable"
    assert "empty" not in others
    assert row.result["warnings"][0]["message"].endswith(" and others")


def test_a_fault_of_the_node_fails_as_it_did(node: Headless, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise KeyError("values")

    monkeypatch.setattr(comparing.Comparison, "look", fault)
    row = replayed(node)
    assert row.state == "failed"
    assert row.reason.startswith("KeyError at test_desk_replay_damaged.py:")


def test_who_asks_why_is_told_so(node: Headless) -> None:
    with pytest.raises(Refused, match="damaged: no rule can be asked"):
        explain_series(node.flow, damage(node, 3))
    assert explain_series(node.flow, "1.2.840.4").generation == 1
