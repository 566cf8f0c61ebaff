"""`bench ledger` on both databases: every job done once, the claim found by its index, nothing left behind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from dicomnode.cli import app

SMALL = ["bench", "ledger", "--jobs", "120", "--claimers", "1,3", "--finished", "300", "--claims", "10"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/own.db"
        return
    with request.getfixturevalue("postgresql").fresh(migrated=False) as url:
        yield url


def databases(url: str) -> set[str]:
    if url.startswith("sqlite"):
        return {path.name for path in Path(url.removeprefix("sqlite:///")).parent.iterdir()}
    engine = create_engine(url)
    with engine.connect() as connection:
        names = set(connection.scalars(text("SELECT datname FROM pg_database")))
    engine.dispose()
    return names


def test_every_job_is_done_once_and_nothing_is_left(url: str) -> None:
    before = databases(url)
    result = CliRunner().invoke(app, [*SMALL, "--database", url, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["database"] in url
    assert [run["claimers"] for run in document["ready_to_done"]] == [1, 3]
    for run in document["ready_to_done"]:
        assert run["claims"] == run["commits"] == run["jobs"] == 120
        assert run["per_second"] > 0
    assert document["claim"]["finished"] == 300
    assert document["claim"]["ratio"] > 0
    assert any("ix_enhancement_ready" in line for line in document["plan"])
    assert databases(url) == before


def test_the_figures_for_people_name_the_database_and_the_plan(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [*SMALL, "--database", f"sqlite:///{tmp_path}/own.db"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("sqlite on ")
    assert "jobs/s from ready to done" in result.stdout
    assert "beside 300 finished jobs" in result.stdout
    assert "ix_enhancement_ready" in result.stdout


@pytest.mark.parametrize("claimers", ["many", "0", "1,,2"])
def test_claimers_are_numbers(claimers: str) -> None:
    result = CliRunner().invoke(app, ["bench", "ledger", "--claimers", claimers])
    assert result.exit_code != 0
