"""`bench replay` on both databases: every series looked at, and nothing left behind."""

import json
from pathlib import Path

import pytest
from support.databases import new_database
from typer.testing import CliRunner

from dicomnode.cli import app


@pytest.mark.usefixtures("each_database")
def test_every_series_is_looked_at(tmp_path: Path) -> None:
    database = new_database(tmp_path / "own")
    command = ["bench", "replay", "--database", database.url, "--series", "80", "--rounds", "1", "--json"]
    result = CliRunner().invoke(app, command)
    database.close()
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (found,) = document["rounds"]
    assert found["summary"].startswith("80 series, ")
    assert "gain" in found["summary"]
    assert found["per_second"] > 0
    assert 10_000 < document["facts_bytes"] < 60_000
    assert {path.name.partition("-")[0] for path in (tmp_path / "own").glob("*")} <= {"node.db"}
