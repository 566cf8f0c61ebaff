"""Generator, discriminator, losses, and a training run that is interrupted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipelines.evaluate.folds import fold_path
from pipelines.gan import losses
from pipelines.gan.alarm import Alarm, Collapsed
from pipelines.gan.ct_task import CTTask
from pipelines.gan.curves import draw_curves
from pipelines.gan.discriminator import Discriminator
from pipelines.gan.export import export
from pipelines.gan.generator import Generator
from pipelines.gan.log import LOG_EVERY
from pipelines.gan.plan import Plan
from pipelines.gan.state import State
from pipelines.gan.steps import adversarial_step
from pipelines.gan.train import train
from pipelines.simulate.bank import LEVELS, Case, case_of, training_volumes
from pipelines.simulate.crops import Batch, draw

pytestmark = pytest.mark.torch
TINY = Plan(width=4, batch=2, crop=32, pixel_steps=4, adversarial_steps=4, checkpoint_every=3, validate_every=100)
UNIT = 40.0


def begin(plan: Plan = TINY) -> State:
    return State(plan, UNIT)


def end(state: State, cases: list[Case], folder: Path) -> State:
    return train(state, CTTask(), cases, folder, report=lambda line: None)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def cases() -> list[Case]:
    rng = np.random.default_rng(0)
    hu = rng.normal(40, 10, (5, 64, 64)).astype(np.float32)
    noise = rng.normal(0, 30, (5, len(LEVELS), 64, 64)).astype(np.float16)
    return [case_of("phantom", hu, noise, (1, 2, 3))]


@pytest.mark.parametrize("shape", [(64, 64), (61, 70), (512, 33), (3, 5)])
def test_the_generator_takes_any_size(shape: tuple[int, int]) -> None:
    assert Generator(width=4)(torch.zeros(2, 3, *shape)).shape == (2, *shape)


def test_an_untrained_generator_returns_the_centre_slice() -> None:
    slices = torch.randn(1, 3, 32, 32) * 2000
    assert torch.equal(Generator(width=4)(slices), slices[:, 1])


def test_the_generator_is_small() -> None:
    assert 0.15e6 < sum(value.numel() for value in Generator().parameters()) < 0.6e6


def test_a_generator_is_rebuilt_from_its_weights_whatever_its_shape() -> None:
    for shape in ({"width": 4}, {"width": 6, "residuals": 0}, {"width": 4, "slices": 5, "residuals": 1}):
        network = Generator(**shape)
        torch.nn.init.normal_(network.leave.weight)
        again = Generator.shaped_like(network.state_dict())
        slices = torch.randn(1, network.slices, 16, 16)
        assert torch.equal(network(slices), again(slices))


@pytest.mark.parametrize("layers", [2, 3])
def test_the_discriminator_scores_patches_and_ignores_the_mean(layers: int) -> None:
    torch.manual_seed(0)
    judge = Discriminator(UNIT, layers=layers).eval()
    noisy, candidate = torch.randn(2, 2, 64, 64) * 30
    scores, features = judge(noisy, candidate)
    assert scores.shape == (2, 1, 64 >> layers, 64 >> layers)
    assert len(features) == layers
    assert torch.allclose(judge(noisy + 400, candidate + 400)[0], scores, atol=1e-4)


def test_losses_at_the_points_that_define_them() -> None:
    image, weight = torch.randn(1, 16, 16) * 50, torch.ones(1, 16, 16)
    assert float(losses.charbonnier(image, image, weight, UNIT)) == pytest.approx(0.0, abs=1e-6)
    assert float(losses.gradient(image + 100, image, UNIT)) == pytest.approx(0.0, abs=1e-5)
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
    weighted, unweighted = (losses.charbonnier(output, target, one, UNIT) for one in (weight, even))
    assert weighted > 10 * unweighted


def test_the_gradient_penalty_is_the_squared_slope_of_the_scores() -> None:
    image = torch.randn(2, 4, 4, requires_grad=True)
    assert float(losses.gradient_penalty(image * 0.5, image, 2.0)) == pytest.approx(16 * 1.0)


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
    whole = end(begin(), cases, tmp_path / "whole")
    drawn = []

    def dying(*arguments: Any) -> Batch:
        drawn.append(arguments)
        if len(drawn) == killed_at:
            raise KeyboardInterrupt
        return draw(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.gan.ct_task.draw", dying)
        with pytest.raises(KeyboardInterrupt):
            end(begin(), cases, tmp_path)
    resumed = State.resume(tmp_path / "last.safetensors", TINY, UNIT)
    assert (resumed.stage, resumed.step) == (stage, step)
    end(resumed, cases, tmp_path)
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name
        assert torch.equal(whole.pixel_end[name], resumed.pixel_end[name]), name


def test_both_stages_learn(cases: list[Case], tmp_path: Path) -> None:
    state = end(begin(), cases, tmp_path)
    fresh = begin().average.state_dict()
    assert any(not torch.equal(value, fresh[name]) for name, value in state.pixel_end.items())
    assert any(not torch.equal(value, state.pixel_end[name]) for name, value in state.average.state_dict().items())


def test_another_plan_does_not_resume(cases: list[Case], tmp_path: Path) -> None:
    end(begin(), cases, tmp_path)
    with pytest.raises(ValueError, match="other settings"):
        State.resume(tmp_path / "last.safetensors", replace(TINY, seed=2), UNIT)


def test_the_export_holds_both_ends_and_no_discriminator(cases: list[Case], tmp_path: Path) -> None:
    state = end(begin(), cases, tmp_path)
    export(state, tmp_path / "losses.csv", tmp_path / "w.safetensors")
    names = set(load_file(tmp_path / "w.safetensors"))
    assert names == {f"{end}.{name}" for end in ("pixel", "adversarial") for name in state.average.state_dict()}


def test_the_same_weights_are_exported_to_the_same_bytes(cases: list[Case], tmp_path: Path) -> None:
    state = end(begin(), cases, tmp_path)
    files = [tmp_path / f"{number}.safetensors" for number in range(12)]
    for path in files:
        export(state, tmp_path / "losses.csv", path)
    assert len({path.read_bytes() for path in files}) == 1


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="only a finished one ships"):
        export(begin(), tmp_path / "losses.csv", tmp_path / "w.safetensors")


def test_a_resumed_log_is_the_log_of_a_run_that_was_never_killed(cases: list[Case], tmp_path: Path) -> None:
    plan = replace(TINY, pixel_steps=2 * LOG_EVERY, adversarial_steps=LOG_EVERY, checkpoint_every=LOG_EVERY // 2)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    end(begin(plan), cases, whole)

    def die(done: int) -> None:
        if done == LOG_EVERY + LOG_EVERY // 2 + 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(begin(plan), CTTask(), cases, killed, report=lambda line: None, on_step=die)
    (killed / "losses.csv").open("a").write("pixel,200,9,9,9,9,,,,,,\n")
    resumed = State.resume(killed / "last.safetensors", plan, UNIT)
    assert (resumed.stage, resumed.step) == ("pixel", LOG_EVERY + LOG_EVERY // 2)
    end(resumed, cases, killed)
    lines = [[line.split(",") for line in (one / "losses.csv").read_text().splitlines()] for one in (whole, killed)]
    steps = [[line[:2] for line in one] for one in lines]
    assert steps[0] == steps[1] == [["stage", "step"], ["pixel", "100"], ["pixel", "200"], ["adversarial", "100"]]
    same = [[line[3:] for line in one if line[1] != "200"] for one in lines]
    assert same[0] == same[1]


def test_a_discriminator_that_is_right_too_often_rests(cases: list[Case]) -> None:
    plan = replace(TINY, discriminator_rest=0.0, penalty_every=1)
    state = begin(plan)
    state.begin_adversarial()
    before = {name: value.clone() for name, value in state.discriminator.named_parameters()}
    figures = adversarial_step(state, draw(cases, (0,), 2, 32))
    assert figures["rested"] == 1.0
    assert figures["penalty"] >= 0.0
    assert all(torch.equal(value, before[name]) for name, value in state.discriminator.named_parameters())
    awake = begin(replace(plan, discriminator_rest=1.0))
    awake.begin_adversarial()
    assert adversarial_step(awake, draw(cases, (0,), 2, 32))["rested"] == 0.0
    assert any(not torch.equal(value, before[name]) for name, value in awake.discriminator.named_parameters())


def test_the_alarm_ends_a_run_that_cannot_come_back() -> None:
    good = {"pixel": 0.1, "detail": 0.8, "accuracy": 0.7}
    alarm = Alarm()
    assert alarm.watch("pixel", 100, good) is None
    assert alarm.watch("adversarial", 2000, good) is None
    with pytest.raises(Collapsed, match="fidelity loss had risen"):
        alarm.watch("adversarial", 2100, good | {"pixel": 0.2})
    with pytest.raises(Collapsed, match="10% of the detail"):
        alarm.watch("adversarial", 2100, good | {"detail": 0.1})
    with pytest.raises(Collapsed, match="learning rate"):
        alarm.watch("pixel", 200, good | {"pixel": float("nan")})


@pytest.mark.parametrize(("accuracy", "words"), [(0.99, "learns nothing"), (0.5, "no better than chance")])
def test_the_alarm_warns_of_a_game_that_one_side_wins(accuracy: float, words: str) -> None:
    alarm = Alarm()
    alarm.watch("pixel", 100, {"pixel": 0.1, "detail": 0.8})
    said = [
        alarm.watch("adversarial", 100 * step, {"pixel": 0.1, "detail": 0.8, "accuracy": accuracy})
        for step in range(1, 21)
    ]
    assert [words in text for text in said if text] == [True]


def test_the_curves_are_drawn(cases: list[Case], tmp_path: Path) -> None:
    end(begin(replace(TINY, pixel_steps=LOG_EVERY, adversarial_steps=LOG_EVERY)), cases, tmp_path)
    draw_curves(tmp_path)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_held_out_body_is_not_trained_on() -> None:
    assert training_volumes() == ("cxr", "lung1")
    assert training_volumes("cxr") == ("lung1", "lung2")
    assert fold_path(Path("w/ct-denoise-1.1.safetensors"), "cxr").name == "ct-denoise-1.1-without-cxr.safetensors"
