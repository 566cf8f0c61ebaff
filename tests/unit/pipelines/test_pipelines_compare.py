"""Two models on the same slices."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from support.series import ct_slice

from dicomnode.enhance.registry import Registry
from pipelines.data import DataError
from pipelines.gan.compare import AS_SCANNED, LOW_DOSE, card_differences, compare, inputs_of
from pipelines.gan.compare import main as compare_main
from pipelines.gan.sides import side
from pipelines.volume import Volume

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def volume() -> Volume:
    rng = np.random.default_rng(3)
    hu = np.stack([ct_slice(128, (z + 0.5) / 5) + rng.normal(0, 8, (128, 128)) for z in range(5)])
    return Volume("patient-1-volume-1", hu.astype(np.float32), (2.5, 0.8, 0.8), (0.0, 0.0, 0.0))


def shipped() -> Path:
    weights = Registry.load(entry_points=False).usable("ct-denoise").weights
    assert weights
    return weights


def idle(path: Path) -> Path:
    """Weights whose last layer is zero: a network that changes nothing."""
    save_file({name: value * (".leave." not in name) for name, value in load_file(shipped()).items()}, path)
    return path


def test_a_model_against_one_that_does_nothing(tmp_path: Path, volume: Volume) -> None:
    a, b = side("ct-denoise", "ct-denoise", []), side(str(idle(tmp_path / "idle.safetensors")), "ct-denoise", [])
    found = compare(a, b, inputs_of([volume], 1))
    assert found["slices"] == {AS_SCANNED: 1, LOW_DOSE: 1}
    rows = {(row["input"], row["model"]): row for row in found["rows"]}
    assert rows[AS_SCANNED, "input"]["psnr"] is None
    low, denoised, same = (rows[LOW_DOSE, name] for name in ("input", "ct-denoise", "idle.safetensors"))
    assert denoised["noise"] < low["noise"]
    assert same["rmse"] == pytest.approx(low["rmse"], abs=0.1)
    assert same["r4 60 HU"] == pytest.approx(1.0, abs=0.01)
    assert denoised["r2 20 HU"] < 1
    assert denoised["pass"] + denoised["flag"] + denoised["withhold"] == 1
    between = {row["input"]: row for row in found["between"]}
    assert between[LOW_DOSE]["rmse"] > 0
    assert {"field": "card", "a": "", "b": "there is none"} in found["cards"]
    json.dumps(found, allow_nan=False)


def test_a_model_against_itself_differs_in_nothing(volume: Volume) -> None:
    a, b = side("ct-denoise", "ct-denoise", []), side(str(shipped()), "ct-denoise", [])
    found = compare(a, b, {AS_SCANNED: inputs_of([volume], 1)[AS_SCANNED]})
    assert found["between"][0]["rmse"] == 0
    assert found["cards"] == []
    one, other = found["rows"][1:]
    assert {**one, "model": ""} == {**other, "model": ""}


def test_what_cards_say_differently() -> None:
    card = Registry.load(entry_points=False).usable("ct-denoise").card
    assert card
    other = card.model_copy(
        update={"limits": ("None known.",), "model": card.model.model_copy(update={"version": "9"})}
    )
    assert {row["field"] for row in card_differences(card, other)} == {"limits", "model.version"}


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("nowhere.safetensors", "neither a pipeline nor a file"),
        ("ct-denoize", "did you mean ct-denoise?"),
        ("passthrough", "has no weights to compare"),
        ("{tmp}/text.safetensors", "is no safetensors file"),
        ("{tmp}/other.safetensors", "does not fit the network of ct-denoise"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, asked: str, reason: str) -> None:
    (tmp_path / "text.safetensors").write_text("weights, honestly")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match=reason):
        side(asked.format(tmp=tmp_path), "ct-denoise", [])


def test_the_command_answers_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--a", "ct-denoise", "--b", "none.safetensors", "--pipeline", "ct-denoise", "--copies", str(tmp_path)]
    assert compare_main(arguments) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "there is neither a pipeline nor a file none.safetensors"}
