"""The pipeline, the shipped weights and their card."""

import hashlib
import tomllib
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dicomnode.enhance.api import AttributeFacts, SeriesFacts
from dicomnode.enhance.card import read_card
from dicomnode.enhance.golden import check
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from pipelines.ct_denoise import CT_IMAGE_STORAGE, CTDenoise
from pipelines.data import sources
from pipelines.evaluate.methods import WEIGHTS
from pipelines.gan.generator import Generator
from pipelines.simulate.ct_dose import Dose, low_dose

CARD = WEIGHTS.with_suffix(".toml")
DOSE_REPORT = "1.2.840.10008.5.1.4.1.1.88.67"


def series(**attributes: dict[tuple[Any, ...], int]) -> SeriesFacts:
    facts = {name: AttributeFacts("CS", values) for name, values in attributes.items()}
    return SeriesFacts(facts, {"instance_count": 20})


def ct(images: int = 20, localizers: int = 0) -> SeriesFacts:
    kinds = {("ORIGINAL", "PRIMARY", "AXIAL"): images, ("ORIGINAL", "PRIMARY", "LOCALIZER"): localizers}
    return series(
        Modality={("CT",): images + localizers},
        SOPClassUID={(CT_IMAGE_STORAGE,): images + localizers},
        ImageType={kind: count for kind, count in kinds.items() if count},
    )


@pytest.fixture(scope="module")
def pipeline() -> CTDenoise:
    torch.set_num_threads(1)
    loaded = CTDenoise()
    loaded.load(load_file(WEIGHTS), torch.device("cpu"))
    return loaded


def test_a_ct_series_is_accepted() -> None:
    assert CTDenoise().accepts(ct()).accepted
    assert CTDenoise().accepts(ct(images=3, localizers=2)).accepted


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (series(Modality={("MR",): 20}), "Modality is MR; this pipeline takes CT"),
        (series(), "Modality is not given"),
        (series(Modality={("CT",): 1}, SOPClassUID={(DOSE_REPORT,): 1}), "no instance is a CT Image"),
        (ct(images=2, localizers=3), "2 slices beside localizers"),
    ],
)
def test_other_series_are_declined_with_a_reason(facts: SeriesFacts, reason: str) -> None:
    answer = CTDenoise().accepts(facts)
    assert not answer.accepted
    assert reason in answer.reason


def test_localizers_and_reports_are_skipped_and_slices_are_not() -> None:
    assert CTDenoise().skips(ct(images=0, localizers=1)) == "a localizer"
    assert CTDenoise().skips(series(SOPClassUID={(DOSE_REPORT,): 1})) == "not a CT Image"
    assert CTDenoise().skips(ct(images=1)) is None


@pytest.mark.torch
def test_strength_zero_returns_the_input_exactly(pipeline: CTDenoise) -> None:
    slices = torch.randn(1, 3, 40, 40) * 300
    assert torch.equal(pipeline.enhance(slices, CTDenoise.Params(strength=0.0)), slices[:, 1])


@pytest.mark.torch
@pytest.mark.parametrize(("texture", "end"), [(0.0, "pixel"), (1.0, "adversarial")])
def test_the_ends_of_texture_are_the_shipped_networks(pipeline: CTDenoise, texture: float, end: str) -> None:
    network = Generator.shaped_like(
        {name.removeprefix(f"{end}."): value for name, value in load_file(WEIGHTS).items() if name.startswith(end)}
    )
    slices = torch.randn(1, 3, 48, 48) * 50
    with torch.inference_mode():
        expected = network(slices)
        found = pipeline.enhance(slices, CTDenoise.Params(strength=1.0, texture=texture))
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.torch
def test_texture_between_the_ends_is_neither(pipeline: CTDenoise) -> None:
    slices = torch.randn(1, 3, 48, 48) * 50
    ends = [pipeline.enhance(slices, CTDenoise.Params(strength=1.0, texture=value)) for value in (0.0, 0.5, 1.0)]
    assert not torch.allclose(ends[0], ends[1], atol=1e-3)
    assert not torch.allclose(ends[2], ends[1], atol=1e-3)


@pytest.mark.torch
def test_the_same_slices_give_the_same_pixels(pipeline: CTDenoise) -> None:
    slices = torch.randn(1, 3, 61, 47) * 50
    first = pipeline.enhance(slices, CTDenoise.Params())
    assert torch.equal(first, pipeline.enhance(slices, CTDenoise.Params()))
    assert first.shape == (1, 61, 47)


@pytest.mark.torch
def test_noise_in_water_falls_and_its_mean_stays(pipeline: CTDenoise) -> None:
    """Noise that training never saw: another seed, another object, another pixel size."""
    axis = (torch.arange(128) - 63.5) * 1.4
    water = torch.where(axis**2 + (axis**2)[:, None] < 75.0**2, 0.0, -1000.0)
    stack = torch.stack([low_dose(water, 1.4, Dose(6e3), seed) for seed in (11, 12, 13)])[None]
    with torch.inference_mode():
        output = pipeline.enhance(stack, CTDenoise.Params())
    guarded, figures = apply_guards(guards_of(CTDenoise.guards), stack[:, 1], output)
    inside = (slice(None), slice(40, 88), slice(40, 88))
    before, after, bounded = (image[inside] for image in (stack[:, 1], output, guarded))
    assert float(before.std()) > 12
    assert float(after.std()) < 0.7 * float(before.std())
    assert float(bounded.std()) < 0.7 * float(before.std())
    assert abs(float(after.mean() - before.mean())) < 1.5
    assert {figure.verdict for row in figures for figure in row} == {"pass"}


def test_the_card_is_complete_and_of_these_weights() -> None:
    card = read_card(CARD)
    assert card.weights.file == WEIGHTS.name == CTDenoise.weights
    assert card.weights.sha256 == hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert card.weights.parameters == sum(value.numel() for value in load_file(WEIGHTS).values())
    assert card.model.name == CTDenoise.name
    assert card.model.licence == "Apache-2.0"


def test_the_card_names_the_pinned_data_and_keeps_the_patients_apart() -> None:
    card = read_card(CARD)
    by_set = {
        name: {(s.package.name, s.package.version, s.image.sha256) for s in sources().values() if s.set == name}
        for name in ("ct-train", "ct-heldout")
    }
    assert {(row.package, row.version, row.sha256) for row in card.training_data} == by_set["ct-train"]
    assert {(row.package, row.version, row.sha256) for row in card.held_out_data} == by_set["ct-heldout"]


def test_the_card_tells_the_strength_that_a_series_gets_and_its_gain() -> None:
    metrics = tomllib.loads(CARD.read_text(encoding="utf-8"))["metrics"]
    assert metrics["default_strength"] == CTDenoise.Params().strength
    assert metrics["default_strength"] == metrics["strength_chosen_on_training_patients"]
    assert metrics["gain_reached"] == (metrics["gain_over_best_classical_db"] >= metrics["gain_wanted_db"] == 2.0)
    assert any(
        line.startswith(f"adversarial end, strength {metrics['default_strength']:g}") for line in metrics["table"]
    )


@pytest.mark.torch
def test_the_golden_case_holds(pipeline: CTDenoise) -> None:
    golden = read_card(CARD).golden
    assert golden is not None
    check(pipeline, torch.device("cpu"), golden, CTDenoise.name)
    assert np.isfinite(golden.std)
