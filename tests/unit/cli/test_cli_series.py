"""`series` as it is typed: lists, the whole document, and a run by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.flowbench import FlowBench
from support.series import make_ct_series
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed, actor
from dicomnode.db.repositories import audit as audit_rows

pytestmark = pytest.mark.torch

LISTED = [
    "uid", "study_uid", "patient_id", "patient_name", "accession_number", "modality", "description", "instances",
    "state", "status", "generation", "calling_aet", "last_arrival_at", "purged_at",
]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowBench:
    """A node in the folder where commands look for it, with a complete series that no rule enhances."""
    made = FlowBench(tmp_path / "node")
    monkeypatch.chdir(made.root)
    settings = f'[database]\nurl = "{made.flow.database.url}"\n[store]\nroot = "store"\nmin_free_gb = 0\n'
    (made.root / "dicomnode.toml").write_text(settings)
    made.receive_files(make_ct_series(tmp_path, 2, rows=32))
    made.complete()
    return made


@pytest.fixture
def run(bench: FlowBench) -> Callable[..., Any]:
    """Run a command with --json: its document, or the sentence it fails with."""

    def invoke(*arguments: str) -> Any:
        result = CliRunner().invoke(app, ["series", *arguments, "--json"])
        return str(result.exception) if isinstance(result.exception, CommandFailed) else json.loads(result.stdout)

    return invoke


def test_the_list_and_the_document_name_what_they_always_named(bench: FlowBench, run: Callable[..., Any]) -> None:
    rows = run("list")
    assert [list(row) for row in rows] == [LISTED]
    assert (rows[0]["instances"], rows[0]["status"], rows[0]["patient_name"]) == (2, "complete", "Phantom^0")
    assert run("list", "--study", "1.2.3") == []
    document = run("show", rows[0]["uid"])
    assert {"decisions", "enhancements", "outdated", "rejected", "deliveries", "versions", "story", "reason"} <= set(
        document
    )
    assert run("show", "1.2.3") == "no instance of series 1.2.3 has arrived"


def test_who_types_has_looked_once(bench: FlowBench, run: Callable[..., Any]) -> None:
    uid = bench.series()[0].uid
    for _ in range(2):
        assert len(run("list")) == 1
        assert "patient.viewed" not in [row["kind"] for row in run("show", uid)["story"]]
    assert run("list", "--find", "phantom^0", "--status", "complete")[0]["uid"] == uid
    assert run("list", "--find", "nobody") == []
    assert "there is no status 'gone'" in run("list", "--status", "gone")
    with bench.flow.database.read() as session:
        looks = audit_rows.listing(session, limit=9, kind="patient.viewed")
    assert {row.actor for row in looks} == {actor()}
    assert [(row.subject, row.series_uid) for row in looks] == [
        ("the series list", None),
        ("the story of a series", uid),
        ("the series list", None),
    ]
    assert looks[-1].detail == {
        "filters": {"text": "phantom^0", "status": "complete"},
        "shown": 1,
        "via": "command line",
    }


def test_a_run_by_hand_is_typed(bench: FlowBench, run: Callable[..., Any]) -> None:
    uid = bench.series()[0].uid
    entered = run("run", uid, "--pipeline", "passthrough", "--to", "pacs", "--priority", "stat")
    assert entered == {"uid": uid, "job": 1, "state": "ready", "deliver_to": ["pacs"]}
    assert bench.work() == 1
    assert [row.destination for row in bench.deliveries()] == ["pacs"]
    assert run("list")[0]["status"] == "delivering"
    assert "did you mean passthrough" in run("run", uid, "--pipeline", "passthrogh")
    assert "strength" in run("run", uid, "--pipeline", "passthrough", "--param", "strength=2")
    assert "already complete" in run("complete", uid)
    assert run("keep", uid) == {"uid": uid, "kept": True}
    assert run("release", uid) == {"uid": uid, "kept": False, "conflicts": 0}
