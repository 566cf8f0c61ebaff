"""`models train` as it is typed: the dry check, plain sentences, and a whole short run up to the registry."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from support.site import site_series
from typer.testing import CliRunner, Result

from dicomnode.cli import app
from dicomnode.cli.common import CommandFailed
from dicomnode.enhance.card import read_card
from dicomnode.enhance.registry import Registry

TRAIN = ("models", "train", "--pipeline", "ct-denoise")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOMNODE_PIPELINES__PATH", str(tmp_path / "own"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def sentence(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, CommandFailed), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


def test_the_check_counts_and_writes_nothing(tmp_path: Path) -> None:
    for seed in (1, 2):
        site_series(tmp_path / "in" / f"Phantom^{seed}", seed)
    site_series(tmp_path / "in" / "few", 3, n=2)
    before = sorted(tmp_path.rglob("*"))
    result = run(*TRAIN, "--data", tmp_path / "in", "--check", "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["patients"], document["patients_held_out"], document["slices"]) == (2, 1, 18)
    assert [row["count"] for row in document["left_out"]] == [1]
    plain = run(*TRAIN, "--data", tmp_path / "in", "--check").stdout
    assert "would be used: 2 volumes of 2 patients, 18 slices" in plain
    assert "Phantom" not in plain + result.stdout
    assert sorted(tmp_path.rglob("*")) == before


def test_one_patient_alone_is_said_plainly(tmp_path: Path) -> None:
    site_series(tmp_path / "in", 1)
    assert "held out: nobody, since there is one patient alone" in run(*TRAIN, "--data", "in", "--check").stdout


def test_what_cannot_be_done_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("no image")
    site_series(tmp_path / "one", 1, n=1)
    assert sentence(*TRAIN, "--data", "nowhere") == "there is no folder nowhere"
    assert sentence(*TRAIN, "--data", "empty") == "there are no DICOM files in empty"
    assert sentence(*TRAIN, "--data", "text") == "there are no DICOM files in text"
    assert sentence(*TRAIN, "--data", "one") == "nothing in one can be used; --check lists the reasons"
    assert run(*TRAIN, "--data", "one", "--check").exit_code == 1
    assert "did you mean ct-denoise?" in sentence("models", "train", "--pipeline", "ct-denoize", "--data", "one")
    assert "has no weights" in sentence("models", "train", "--pipeline", "passthrough", "--data", "one")
    assert "give the new model another --name" in sentence(*TRAIN, "--data", "one", "--name", "ct-denoise")
    assert "--name takes words" in sentence(*TRAIN, "--data", "one", "--name", "Ours!")
    work = tmp_path / "training" / "ct-denoise-site"
    assert [path.name for path in work.iterdir()] == [".training"]


def whole_run(folder: Path) -> dict[str, Any]:
    steps = ("--pixel-steps", "2", "--adversarial-steps", "2", "--slices", "16", "--device", "cpu")
    result = run(*TRAIN, "--data", folder, "--from-scratch", *steps, "--json")
    assert not result.exception, result.exception
    return dict(json.loads(result.stdout))


@pytest.mark.torch
@pytest.mark.timeout(600)
def test_a_whole_run_becomes_a_model_that_the_node_loads(tmp_path: Path) -> None:
    for seed in (1, 2):
        paths = site_series(tmp_path / "in" / str(seed), seed, n=8)
    document = whole_run(tmp_path / "in")
    weights, work = Path(document["weights"]), tmp_path / "training" / "ct-denoise-site"
    assert weights == work / "model" / "ct-denoise-site-1.0.safetensors"
    card = read_card(weights.with_suffix(".toml"))
    assert card.model.name == "ct-denoise-site"
    assert "patients 1" in card.training_data[0].name
    assert sorted(path.name for path in work.iterdir()) == [".training", "model", "run"]
    header = dcmread(paths[0], stop_before_pixels=True)
    secrets = [header.PatientID, str(header.PatientName), header.StudyInstanceUID, header.SeriesInstanceUID, "20250301"]
    for path in (path for path in work.rglob("*") if path.is_file()):
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()]
        assert path.stat().st_mode & 0o077 == 0
    assert "a finished model lies in" in sentence(*TRAIN, "--data", "in")
    imported = run("models", "import", weights, "--json")
    assert not imported.exception, imported.exception
    entry = Registry.load([tmp_path / "own"], entry_points=False).usable("ct-denoise-site")
    assert entry.card is not None
    assert entry.card.weights.sha256 == card.weights.sha256 == json.loads(imported.stdout)["sha256"]


def test_copies_of_other_files_are_not_trained_on(tmp_path: Path) -> None:
    site_series(tmp_path / "in", 1)
    copies = tmp_path / "training" / "ct-denoise-site" / "copies"
    copies.mkdir(parents=True)
    (copies.parent / ".training").touch()
    (copies / "index.json").write_text(json.dumps({"files": 12, "copies": [], "left_out": {}}))
    message = sentence(*TRAIN, "--data", "in")
    assert "were made of 12 files, and in holds 9; delete" in message
