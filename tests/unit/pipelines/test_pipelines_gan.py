"""Generator, discriminator, losses, and a training run that is interrupted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines.gan import losses
from pipelines.gan.discriminator import Discriminator
from pipelines.gan.export import export
from pipelines.gan.generator import Generator
from pipelines.gan.plan import Plan
from pipelines.gan.state import State
from pipelines.gan.train import train
from pipelines.simulate.bank import LEVELS, Case
from pipelines.simulate.crops import Batch, draw

pytestmark = pytest.mark.torch
TINY = Plan(width=4, batch=2, crop=32, pixel_steps=4, adversarial_steps=4, checkpoint_every=3, validate_every=100)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def cases() -> list[Case]:
    rng = np.random.default_rng(0)
    hu = rng.normal(40, 10, (5, 64, 64)).astype(np.float32)
    noise = rng.normal(0, 30, (5, len(LEVELS), 64, 64)).astype(np.float16)
    return [Case("phantom", hu, noise, (1, 2, 3))]


@pytest.mark.parametrize("shape", [(64, 64), (61, 70), (512, 33), (3, 5)])
def test_the_generator_takes_any_size(shape: tuple[int, int]) -> None:
    assert Generator(width=4)(torch.zeros(2, 3, *shape)).shape == (2, *shape)


def test_an_untrained_generator_returns_the_centre_slice() -> None:
    slices = torch.randn(1, 3, 32, 32) * 2000
    assert torch.equal(Generator(width=4)(slices), slices[:, 1])


def test_the_generator_is_small() -> None:
    assert 0.1e6 < sum(value.numel() for value in Generator().parameters()) < 0.2e6


def test_the_discriminator_scores_patches_and_ignores_the_mean() -> None:
    torch.manual_seed(0)
    judge = Discriminator().eval()
    noisy, candidate = torch.randn(2, 2, 64, 64) * 30
    scores, features = judge(noisy, candidate)
    assert scores.shape == (2, 1, 8, 8)
    assert len(features) == 3
    assert torch.allclose(judge(noisy + 400, candidate + 400)[0], scores, atol=1e-4)


def test_losses_at_the_points_that_define_them() -> None:
    image, weight = torch.randn(1, 16, 16) * 50, torch.ones(1, 16, 16)
    assert float(losses.charbonnier(image, image, weight)) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.gradient(image + 100, image)) == pytest.approx(0.0, abs=1e-5)
    undecided = torch.zeros(1, 1, 4, 4)
    assert float(losses.hinge_discriminator(undecided, undecided)) == 2.0
    assert losses.accuracy(undecided + 1, undecided - 1) == 1.0
    assert losses.accuracy(undecided + 1, undecided + 1) == 0.5
    assert float(losses.hinge_generator(undecided + 3)) == -3.0


def test_a_lesion_weighs_more_than_its_surroundings() -> None:
    target, output = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    output[0, 0, 0] = 40.0
    even, weight = torch.ones(1, 8, 8), torch.ones(1, 8, 8)
    weight[0, 0, 0] = 16.0
    assert losses.charbonnier(output, target, weight) > 10 * losses.charbonnier(output, target, even)


def test_batches_are_functions_of_their_seed(cases: list[Case]) -> None:
    first, again, other = (draw(cases, (1, 0, step), 2, 32) for step in (7, 7, 8))
    assert torch.equal(first.noisy, again.noisy)
    assert not torch.equal(first.noisy, other.noisy)
    assert first.noisy.shape == (2, 3, 32, 32)
    assert first.clean.shape == first.lesions.shape == (2, 32, 32)


@pytest.mark.parametrize(("killed_at", "stage", "step"), [(4, "pixel", 3), (6, "pixel", 4), (8, "adversarial", 3)])
def test_a_run_that_is_killed_and_resumed_ends_with_the_same_weights(
    cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: int, stage: str, step: int
) -> None:
    whole = train(State(TINY), cases, tmp_path / "whole")
    drawn = []

    def dying(*arguments: Any) -> Batch:
        drawn.append(arguments)
        if len(drawn) == killed_at:
            raise KeyboardInterrupt
        return draw(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.gan.train.draw", dying)
        with pytest.raises(KeyboardInterrupt):
            train(State(TINY), cases, tmp_path)
    resumed = State.resume(tmp_path / "last.safetensors", TINY)
    assert (resumed.stage, resumed.step) == (stage, step)
    train(resumed, cases, tmp_path)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
        assert torch.equal(whole.pixel_end[name], resumed.pixel_end[name]), name


def test_both_stages_learn(cases: list[Case], tmp_path: Path) -> None:
    state = train(State(TINY), cases, tmp_path)
    fresh = State(TINY).average.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in state.pixel_end.items())
    assert any(not torch.equal(value, state.pixel_end[name]) for name, value in state.average.state_dict().items())


def test_another_plan_does_not_resume(cases: list[Case], tmp_path: Path) -> None:
    train(State(TINY), cases, tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        State.resume(tmp_path / "last.safetensors", replace(TINY, seed=2))


def test_the_export_holds_both_ends_and_no_discriminator(cases: list[Case], tmp_path: Path) -> None:
    state = train(State(TINY), cases, tmp_path)
    export(state, tmp_path / "losses.csv", tmp_path / "w.safetensors")
    names = set(load_file(tmp_path / "w.safetensors"))
    assert names == {f"{end}.{name}" for end in ("pixel", "adversarial") for name in state.average.state_dict()}


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only a finished one ships"):
        export(State(TINY), tmp_path / "losses.csv", tmp_path / "w.safetensors")
