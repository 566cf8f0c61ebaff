"""`models compare` as it is typed, on DICOM of a site."""

import json
import tempfile
from pathlib import Path

import pytest
from support.site import site_series
from typer.testing import CliRunner

from dicomnode.cli import app
from dicomnode.enhance.registry import Registry


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOMNODE_PIPELINES__PATH", str(tmp_path / "own"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()


@pytest.mark.torch
def test_two_models_on_a_sites_slices(tmp_path: Path) -> None:
    site_series(tmp_path / "in", 1, n=8)
    weights = Registry.load(entry_points=False).usable("ct-denoise").weights
    arguments = ["models", "compare", "ct-denoise", str(weights), "--data", "in", "--slices", "1"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert not result.exception, result.exception
    document = json.loads(result.stdout)
    assert document["slices"] == {"as scanned": 1, "simulated low dose": 1}
    assert [row["rmse"] for row in document["between"]] == [0, 0]
    assert len(document["rows"]) == 6
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a", "b", "--data", "nowhere"), "there is no folder nowhere"),
        (("a", "b", "--data", "scratch"), "there are no DICOM files in scratch"),
        (("a", "b", "--data", "scratch", "--pipeline", "ct-denoize"), "did you mean ct-denoise?"),
    ],
)
def test_what_cannot_be_compared_is_said(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(app, ["models", "compare", *arguments])
    assert sentence in str(result.exception)
