"""`pipelines list` and `doctor` as they are typed: they know what the pages know of pipelines that cannot be used."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.brokenpipelines import REASONS, write_broken
from support.peers import free_port
from support.queuerows import fill, job
from typer.testing import CliRunner

from dicomnode.app import load_registry
from dicomnode.cli import app
from dicomnode.cli.common import settings_of
from dicomnode.db.database import Database


def test_what_only_looking_and_loading_tell(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dicomnode.toml").write_text(f'[database]\nurl = "{database.url}"\n[pipelines]\npath = "own"\n')
    write_broken(tmp_path / "own")
    entry = load_registry(settings_of(None)).get("drifted")
    assert entry is not None
    assert entry.card is not None
    recipe = {"pipeline": "drifted", "version": entry.version, "weights_sha256": entry.card.weights.sha256}
    ended = datetime.now(UTC) + timedelta(seconds=1)
    fill(database, [job(1, "failed", reason=REASONS["drifted"], started_at=ended, finished_at=ended, **recipe)])

    listed = {row["name"]: row for row in json.loads(CliRunner().invoke(app, ["pipelines", "list", "--json"]).stdout)}
    assert {name for name, row in listed.items() if not row["usable"]} == REASONS.keys()
    assert all(reason in listed[name]["error"] for name, reason in REASONS.items())
    assert listed["passthrough"]["error"] == ""

    told = CliRunner().invoke(app, ["doctor", "--json"])
    found = {each["subject"]: each["message"] for each in json.loads(told.stdout)["findings"]}
    assert all(reason in found[f"pipeline:{name}"] for name, reason in REASONS.items())


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:///var/dicomnode.db", "there is no database {folder}/var/dicomnode.db"),
        ("sqlite:///dicomnode.toml", "the database does not answer: file is not a database"),
        ("postgresql+psycopg://node@127.0.0.1:{port}/node", "the database does not answer: connection failed"),
    ],
)
def test_without_a_database_the_files_tell_alone(
    url: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = f'[database]\nurl = "{url.format(port=free_port())}"\n[pipelines]\npath = "own"\n'
    (tmp_path / "dicomnode.toml").write_text(settings)
    write_broken(tmp_path / "own")
    answer = CliRunner().invoke(app, ["pipelines", "list", "--json"])
    listed = {row["name"]: row for row in json.loads(answer.stdout)}
    assert {name for name, row in listed.items() if not row["usable"]} == REASONS.keys() - {"drifted"}
    assert all(REASONS[name] in row["error"] for name, row in listed.items() if not row["usable"])
    assert answer.stderr.startswith(f"dicomnode: {told.format(folder=tmp_path)}")
    assert answer.stderr.endswith("; whether a worker refused a pipeline is not known\n")
    assert answer.stderr.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"dicomnode.toml", "own"}
