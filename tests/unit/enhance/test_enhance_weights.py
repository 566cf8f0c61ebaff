"""Weights, card and golden case: what is not as the card says is not run, and one sentence says why."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dicomnode.enhance import golden
from dicomnode.enhance.card import read_card
from dicomnode.enhance.errors import CardRefused, PipelineBroken, WeightsRefused
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine
from dicomnode.enhance.weights import load_weights, verify

pytestmark = pytest.mark.torch

NETWORK = """
weights = "tiny.safetensors"
precision = "float32"

class Params(PipelineParams):
    strength: float = Field(0.6, ge=0, le=1)

def load(self, weights, device):
    self.kernel = weights["kernel"].to(device)

def enhance(self, slices, params):
    import torch
    smooth = torch.nn.functional.conv2d(slices, self.kernel, padding=1)[:, 0]
    return torch.lerp(slices[:, 0], smooth, params.strength)
"""


@pytest.fixture
def folder(write_pipeline) -> Path:
    torch.set_num_threads(1)
    found: Path = write_pipeline(NETWORK)
    save_file({"kernel": torch.full((1, 1, 3, 3), 1 / 9)}, found / "weights" / "tiny.safetensors")
    return found


def engine(folder: Path, header_facts) -> Engine:
    return Engine(Registry.load([folder], bundled=False, entry_points=False), "cpu", instance_facts=header_facts)


def test_good_weights_are_loaded_and_their_hash_is_in_the_recipe(folder: Path, write_card, header_facts) -> None:
    card = read_card(write_card(folder / "weights" / "tiny.safetensors"))
    ready = engine(folder, header_facts)
    loaded = ready.prepare("tiny")
    assert verify(loaded.entry) == card
    assert ready.registry.recipe("tiny", {}).weights_sha256 == card.weights.sha256
    assert ready.prepare("tiny") is loaded


def test_tampered_weights_are_refused(folder: Path, write_card, header_facts) -> None:
    weights = folder / "weights" / "tiny.safetensors"
    write_card(weights)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WeightsRefused, match=r"^the weights tiny\.safetensors are not those of their model card"):
        engine(folder, header_facts).prepare("tiny")


def test_a_pickle_is_never_read_as_weights(folder: Path, write_card, header_facts) -> None:
    weights = folder / "weights" / "tiny.safetensors"
    torch.save({"kernel": torch.zeros(1)}, weights)
    card = read_card(write_card(weights))
    with pytest.raises(WeightsRefused, match="not a safetensors file"):
        load_weights(weights, card.weights.sha256)
    with pytest.raises(WeightsRefused, match="not a safetensors file"):
        engine(folder, header_facts).prepare("tiny")


def test_missing_weights_card_or_a_card_of_others_break_the_entry(folder: Path, write_card) -> None:
    weights = folder / "weights" / "tiny.safetensors"

    def error() -> str:
        (entry,) = Registry.load([folder], bundled=False, entry_points=False)
        with pytest.raises(PipelineBroken):
            entry.create()
        with pytest.raises(WeightsRefused):
            verify(entry)
        return entry.error

    assert error() == "the model card tiny.toml is missing"
    card = write_card(weights, name="another")
    assert error() == "the model card is of another, not of tiny"
    write_card(folder / "weights" / "other.safetensors").rename(card)
    assert error() == "the model card is of other.safetensors, not of tiny.safetensors"
    write_card(weights)
    weights.unlink()
    assert error() == "the weights tiny.safetensors are missing"


def test_weights_that_vanish_after_the_registry_was_read(folder: Path, write_card, header_facts) -> None:
    weights = folder / "weights" / "tiny.safetensors"
    write_card(weights)
    ready = engine(folder, header_facts)
    weights.unlink()
    with pytest.raises(WeightsRefused, match="are missing"):
        ready.prepare("tiny")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[model]", "[model", "cannot be read"),
        ('licence = "Apache-2.0"\n', "", "model.licence: Field required"),
        ('sha256 = "', 'sha256 = "X', "weights.sha256"),
        ("parameters = 9", "parameters = 9\nsecret = 1", "weights.secret"),
        ("limits", "limit", "limits: Field required"),
    ],
)
def test_an_incomplete_card_is_refused(folder: Path, write_card, old: str, new: str, reason: str) -> None:
    card = write_card(folder / "weights" / "tiny.safetensors")
    card.write_text(card.read_text().replace(old, new, 1))
    with pytest.raises(CardRefused, match=reason) as refused:
        read_card(card)
    assert "\n" not in str(refused.value)


def test_the_golden_case_is_measured_and_then_holds(folder: Path, write_card, header_facts) -> None:
    weights = folder / "weights" / "tiny.safetensors"
    write_card(weights)
    loaded = engine(folder, header_facts).prepare("tiny")
    case = golden.measure(loaded.pipeline, loaded.device, seed=3, shape=(2, 1, 24, 20), tolerance=1e-3)
    smooth = torch.nn.functional.conv2d(
        torch.from_numpy(golden.golden_input(3, (2, 1, 24, 20))), torch.full((1, 1, 3, 3), 1 / 9), padding=1
    )
    assert case.mean == pytest.approx(float(smooth.mean()), abs=1e-4), "strength is 1 in a golden case"
    write_card(weights, **case.model_dump())
    assert engine(folder, header_facts).prepare("tiny").entry.card.golden == case


@pytest.mark.parametrize("what", ["mean", "std", "probe"])
def test_a_golden_mismatch_refuses_the_model(folder: Path, write_card, header_facts, what: str) -> None:
    weights = folder / "weights" / "tiny.safetensors"
    write_card(weights)
    loaded = engine(folder, header_facts).prepare("tiny")
    case = golden.measure(loaded.pipeline, loaded.device, seed=3, shape=(2, 1, 24, 20), tolerance=1e-3).model_dump()
    case[what] = (*case["probe"][:-1], case["probe"][-1] + 0.01) if what == "probe" else case[what] + 0.01
    write_card(weights, **case)
    with pytest.raises(WeightsRefused, match="tiny fails its golden case"):
        engine(folder, header_facts).prepare("tiny")
