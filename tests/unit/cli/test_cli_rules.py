"""`rules replay|explain|diff|revisions|rollback|evidence|draft` and `site import`, as an administrator types them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.desks import PACS, change, rule
from support.flowbench import FlowBench
from support.rulesets import real_file
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.desk.refused import Refused


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    """One CT series, decided on by a shadow rule in revision 2; revision 1 had none."""
    bench = FlowBench(tmp_path / "node")
    database, store = f"sqlite:///{tmp_path}/node/node.db", tmp_path / "node" / "store"
    settings = f'[node]\nname = "n"\n[database]\nurl = "{database}"\n[store]\nroot = "{store}"\n'
    (tmp_path / "node.toml").write_text(settings)
    document(tmp_path / "two.yaml", rule(state="shadow"))
    run(tmp_path, "site", "import", str(tmp_path / "two.yaml"))
    bench.receive(real_file("CT_small.dcm"))
    bench.complete()
    return bench


def document(file: Path, *rules: dict[str, Any]) -> str:
    file.write_text(yaml.safe_dump({"destinations": [PACS], "rules": list(rules)}))
    return str(file)


def run(folder: Path, *arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json", "--config", str(folder / "node.toml")])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


def test_a_file_is_tried_on_the_past(tmp_path: Path, bench: FlowBench) -> None:
    found = run(tmp_path, "rules", "replay", document(tmp_path / "live.yaml", rule()), "--days", "7")
    assert (found["summary"], found["base"]) == ("1 series, 1 changes: 1 gains passthrough", 2)
    assert [(each["rule"], each["kind"]) for each in found["changes"]] == [("chest", "gains")]
    told = CliRunner().invoke(
        app, ["rules", "replay", str(tmp_path / "live.yaml"), "--config", str(tmp_path / "node.toml")]
    )
    assert told.stdout.startswith("1 series, 1 changes: 1 gains passthrough (replay 2, against revision 2, ")
    assert "chest (shadow -> live): matches 1, before 1; 1 gain" in told.stdout
    change(bench, rule("other"))
    assert run(tmp_path, "rules", "replay")["rules"][1]["rule"] == "other"
    bad = document(tmp_path / "bad.yaml", rule(when={"attribute": "Modalty", "exists": True}))
    with pytest.raises(Refused, match="not a DICOM keyword"):
        run(tmp_path, "rules", "replay", bad)


def test_what_a_rule_saw_of_a_patient_is_shown_with_an_event(tmp_path: Path, bench: FlowBench) -> None:
    series, patient = str(real_file("CT_small.dcm").SeriesInstanceUID), str(real_file("CT_small.dcm").PatientID)
    known = ["rules", "explain", "--series", series, "--config", str(tmp_path / "node.toml")]
    tried = ["rules", "replay", document(tmp_path / "live.yaml", rule())]
    assert CliRunner().invoke(app, known).exit_code == 0
    run(tmp_path, *tried)
    assert bench.events().count("patient.viewed") == 0, "no rule asks of a patient"
    asks = rule(state="shadow", when={"attribute": "PatientID", "equals": "X"})
    run(tmp_path, "site", "import", document(tmp_path / "three.yaml", asks))
    assert patient in CliRunner().invoke(app, known).stdout
    assert bench.events().count("patient.viewed") == 1
    run(tmp_path, *tried, "--changes", "0")
    assert bench.events().count("patient.viewed") == 1, "of no series is anything told"
    assert patient in str(run(tmp_path, *tried)["changes"])
    assert bench.events().count("patient.viewed") == 2


def test_revisions_differ_and_come_back(tmp_path: Path, bench: FlowBench) -> None:
    assert run(tmp_path, "rules", "diff", "1", "2")["lines"][:2] == [
        "destination archive: removed",
        "  ae_title: removed: ARCHIVE",
    ]
    live = document(tmp_path / "live.yaml", rule())
    assert run(tmp_path, "rules", "diff", "2", live)["lines"] == ["rule chest: changed", "  state: shadow -> live"]
    done = run(tmp_path, "rules", "rollback", "1", "--comment", "too early")
    assert (done["revision"], done["restores"]) == (3, 1)
    rows = run(tmp_path, "rules", "revisions")
    assert [(row["number"], row["origin"], row["restores"]) for row in rows] == [
        (3, "rollback", 1), (2, "import", None), (1, "import", None),
    ]  # fmt: skip
    with pytest.raises(Refused, match="there is no revision 9"):
        run(tmp_path, "rules", "diff", "1", "9")


def test_what_a_shadow_showed(tmp_path: Path, bench: FlowBench) -> None:
    found = run(tmp_path, "rules", "evidence", "chest")
    assert (found["matched"], found["states"], found["since_revision"]) == (1, {"ready": 1}, 2)
    told = CliRunner().invoke(app, ["rules", "evidence", "chest", "--config", str(tmp_path / "node.toml")])
    assert "matched 1 series, did not match 0\njobs: 1 ready" in told.stdout


@pytest.mark.torch
def test_evidence_has_figures_once_the_work_is_done(tmp_path: Path, bench: FlowBench) -> None:
    assert bench.work() == 1
    found = run(tmp_path, "rules", "evidence", "chest")
    assert (found["states"], found["verdicts"], found["seconds"]["count"]) == ({"done": 1}, {"pass": 1}, 1)
    for figure in found["figures"].values():
        assert figure["lowest"] <= figure["median"] <= figure["highest"]


def test_the_draft_is_shown_and_thrown_away(tmp_path: Path, bench: FlowBench) -> None:
    change(bench, rule("other"))
    shown = run(tmp_path, "rules", "draft", "show")
    assert (shown["touched"], shown["diff"]["rules"][0]["name"]) == (True, "other")
    assert run(tmp_path, "rules", "draft", "discard") == {"discarded": True, "version": 2}
    assert run(tmp_path, "rules", "draft", "show")["touched"] is False
