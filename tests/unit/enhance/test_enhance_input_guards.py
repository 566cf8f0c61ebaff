"""The guards of the input and of the change: what each number says, and what it does not."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.guards import input_statistics, structure, typical_noise
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.guards.features import distance
from dicomnode.enhance.guards.judge import judge_band
from dicomnode.enhance.guards.once import Once
from dicomnode.enhance.guards.residual_bound import local_sigma
from dicomnode.enhance.limits import FeatureReference, GuardLimits, read_limits

pytestmark = pytest.mark.torch

BAND = (1.0, 2.0, 4.0, 8.0)
BODY = -400.0


def noise(seed: int, sigma: float, grain: float = 0.7, size: int = 256) -> torch.Tensor:
    """Noise of `sigma` blurred by `grain` px: about the grain of a body kernel."""
    white = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), grain)
    return torch.from_numpy((white * sigma / white.std()).astype(np.float32))[None]


def body(size: int = 256) -> torch.Tensor:
    """A round body of 40 HU with a bone in air."""
    row, column = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    radius = torch.hypot(row - size / 2, column - size / 2)
    image = torch.where(radius < 0.42 * size, 40.0, -1000.0)
    image[torch.hypot(row - size / 2, column - 0.7 * size) < 12] = 700.0
    return image[None]


def of(figures: tuple[GuardFigure, ...], name: str) -> GuardFigure:
    return next(figure for figure in figures if figure.guard == name)


@pytest.mark.parametrize(
    ("value", "verdict", "limit"),
    [
        (0.5, Verdict.WITHHOLD, 1.0),
        (1.5, Verdict.FLAG, 2.0),
        (3.0, Verdict.PASS, 4.0),
        (6.0, Verdict.FLAG, 4.0),
        (9.0, Verdict.WITHHOLD, 8.0),
        (math.inf, Verdict.WITHHOLD, 8.0),
    ],
)
def test_a_band_has_two_sides(value: float, verdict: Verdict, limit: float) -> None:
    figure = judge_band("noise", value, BAND, unit="HU", what="the noise")
    assert (figure.verdict, figure.limit) == (verdict, limit)
    assert bool(figure.reason) is (verdict is not Verdict.PASS)


def test_what_could_not_be_measured_is_flagged() -> None:
    figure = judge_band("noise", math.nan, BAND, unit="HU", what="the noise")
    assert (figure.verdict, figure.value) == (Verdict.FLAG, None)
    assert "cannot be measured" in figure.reason


@pytest.mark.parametrize("sigma", [8.0, 30.0, 90.0])
def test_noise_and_grain_are_measured_in_the_body_alone(sigma: float) -> None:
    found = input_statistics.measure(body() + noise(1, sigma), BODY)
    assert float(found.sigma) == pytest.approx(sigma, rel=0.12)
    assert float(found.body_share) == pytest.approx(math.pi * 0.42**2, rel=0.03)
    sharper = input_statistics.measure(body() + noise(1, sigma, grain=0.3), BODY)
    assert float(sharper.frequency) > float(found.frequency) + 0.05


def test_more_noise_shows_where_the_flattest_part_is_quiet() -> None:
    quiet_part = torch.where(torch.arange(256) < 100, 0.4, 1.0)
    limits = GuardLimits(body_above=BODY, noise_sigma=(2, 5, 45, 60), typical_noise=(2, 5, 45, 60))
    for sigma, verdict in ((30, Verdict.PASS), (75, Verdict.WITHHOLD)):
        source = body() + noise(2, sigma) * quiet_part
        _, (figures,) = apply_guards(guards_of(limits), source, source)
        assert of(figures, typical_noise.NAME).verdict is verdict
    nothing = torch.full((1, 64, 64), -1000.0)
    _, (figures,) = apply_guards(guards_of(limits), nothing, nothing)
    assert of(figures, typical_noise.NAME).verdict is Verdict.WITHHOLD, "an image without any noise is no scan"


def test_a_softer_kernel_cuts_the_tail_of_the_noise() -> None:
    usual, softer = (input_statistics.measure(body() + noise(1, 30, grain), BODY) for grain in (0.7, 1.4))
    assert float(softer.tail) < 0.1 * float(usual.tail)
    limits = GuardLimits(body_above=BODY, noise_tail=(-1.0, float(usual.tail) / 2, 2 * float(usual.tail), 9.0))
    _, (figures,) = apply_guards(guards_of(limits), body() + noise(2, 30, 1.4), body())
    assert of(figures, input_statistics.KERNEL).verdict is Verdict.FLAG
    _, (figures,) = apply_guards(guards_of(limits), body() + noise(2, 30, 0.7), body())
    assert of(figures, input_statistics.KERNEL).verdict is Verdict.PASS


@pytest.mark.parametrize("shape", [(1, 20, 40), (1, 40, 40)])
def test_too_small_an_image_has_no_noise_to_measure(shape: tuple[int, int, int]) -> None:
    found = input_statistics.measure(torch.zeros(shape), BODY)
    assert all(math.isnan(float(number)) for number in (found.sigma, found.frequency, found.tail))


def test_more_noise_another_grain_and_an_image_without_air_are_caught() -> None:
    limits = GuardLimits(
        body_above=BODY,
        noise_sigma=(2, 5, 45, 60),
        noise_frequency=(0.05, 0.1, 0.26, 0.3),
        body_share=(0.05, 0.1, 0.7, 0.9),
    )

    def verdicts(source: torch.Tensor) -> dict[str, Verdict]:
        _, (figures,) = apply_guards(guards_of(limits), source, source)
        return {figure.guard: figure.verdict for figure in figures}

    assert set(verdicts(body() + noise(2, 30)).values()) == {Verdict.PASS}
    assert verdicts(body() + noise(2, 75))[input_statistics.NOISE] is Verdict.WITHHOLD
    assert verdicts(body() + noise(2, 30, grain=0.1))[input_statistics.GRAIN] is Verdict.WITHHOLD
    assert verdicts(noise(2, 30))[input_statistics.BODY] is Verdict.WITHHOLD


@pytest.mark.parametrize(
    ("kept", "strength", "verdict"),
    [(0.3, 1.0, Verdict.PASS), (0.65, 0.5, Verdict.PASS), (1.0, 1.0, Verdict.WITHHOLD), (3.0, 1.0, Verdict.WITHHOLD)],
)
def test_the_change_is_held_against_a_band_at_full_strength(kept: float, strength: float, verdict: Verdict) -> None:
    grain = noise(3, 25)
    source, output = body() + grain, body() + kept * grain
    guards = guards_of(GuardLimits(body_above=BODY, change=(0.05, 0.1, 1.0, 1.3)), strength=strength)
    _, (figures,) = apply_guards(guards, source, output)
    figure = of(figures, "change")
    assert figure.verdict is verdict
    assert figure.value == pytest.approx(abs(1 - kept) / strength, rel=0.15, abs=0.01)


def test_strength_0_is_not_too_little() -> None:
    guards = guards_of(GuardLimits(body_above=BODY, change=(0.05, 0.1, 1.0, 1.3)), strength=0.0)
    _, (figures,) = apply_guards(guards, body(), body())
    assert [figure.guard for figure in figures] == ["finite"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("cnr", "caught"), [(0.0, False), (2.5, True)])
def test_a_blob_in_the_change_is_seen_noise_is_not(sign: float, cnr: float, caught: bool) -> None:
    grain = noise(4, 25)
    source, output = body() + grain, body() + 0.4 * grain
    row, column = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    output[:, torch.hypot(row - 100, column - 110) < 4] += sign * cnr * 25
    limits = GuardLimits(residual_sigmas=3, low_frequency_sigma=16, body_above=BODY, blob_score=(1.0, 1.5))
    _, (figures,) = apply_guards(guards_of(limits), source, output)
    figure = of(figures, structure.BLOBS)
    assert (figure.verdict is not Verdict.PASS) is caught
    assert figure.details["places"] == int(caught)


@pytest.mark.parametrize(
    ("radius", "cnr", "seen_by"), [(2.1, 5.0, {structure.BLOBS}), (7, 1.0, {structure.WIDE_BLOBS})]
)
def test_small_and_wide_blobs_have_a_scale_each(radius: float, cnr: float, seen_by: set[str]) -> None:
    grain = noise(4, 25)
    source, output = body() + grain, body() + 0.4 * grain
    limits = GuardLimits(
        residual_sigmas=3, low_frequency_sigma=16, body_above=BODY, blob_score=(1.4, 9), wide_blob_score=(0.6, 9)
    )

    def flagged() -> set[str]:
        _, (figures,) = apply_guards(guards_of(limits), source, output)
        return {figure.guard for figure in figures if figure.verdict is Verdict.FLAG}

    assert flagged() == set()
    row, column = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    output[:, torch.hypot(row - 100, column - 110) < radius] -= cnr * 25
    assert flagged() == seen_by


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_blobs_are_judged_as_if_at_full_strength(strength: float) -> None:
    grain = noise(4, 25)
    source, full = body() + grain, body() + 0.4 * grain
    guards = guards_of(GuardLimits(body_above=BODY, blob_score=(9, 9), wide_blob_score=(9, 9)), strength=strength)
    at_full = guards_of(GuardLimits(body_above=BODY, blob_score=(9, 9), wide_blob_score=(9, 9)))
    _, (figures,) = apply_guards(guards, source, source.lerp(full, strength))
    _, (expected,) = apply_guards(at_full, source, full)
    assert [figure.value for figure in figures] == pytest.approx([figure.value for figure in expected], rel=1e-3)


def test_a_network_that_blurs_edges_is_seen() -> None:
    source = body() + noise(5, 15)
    limits = GuardLimits(body_above=BODY, edge_correlation=(0.0, 0.2))
    blurred = torch.from_numpy(ndimage.gaussian_filter(source.numpy(), (0, 2, 2)))
    for output, verdict in ((body() + 0.3 * noise(5, 15), Verdict.PASS), (blurred, Verdict.WITHHOLD)):
        _, (figures,) = apply_guards(guards_of(limits), source, output)
        assert of(figures, structure.EDGES).verdict is verdict


def test_the_distance_of_features_is_one_for_what_is_typical() -> None:
    rng = torch.Generator().manual_seed(1)
    features = 3 * torch.randn(400, 2, generator=rng) + 5
    reference = FeatureReference(mean=(5.0, 5.0), projection=((1 / 3, 0.0), (0.0, 1 / 3)), limits=(2.0, 3.0))
    assert float(distance(features, reference).square().mean()) == pytest.approx(1.0, rel=0.1)
    guards = guards_of(GuardLimits(features=reference), features=torch.tensor([[5.0, 5.0], [30.0, 5.0]]))
    _, rows = apply_guards(guards, torch.zeros(2, 4, 4), torch.zeros(2, 4, 4))
    assert [of(row, "features").verdict for row in rows] == [Verdict.PASS, Verdict.WITHHOLD]


def test_a_batch_is_measured_once() -> None:
    calls: list[int] = []
    once = Once(lambda source: calls.append(1) or local_sigma(source))
    source = noise(6, 10, size=64)
    assert once(source) is once(source)
    once(source.clone())
    assert len(calls) == 2


def test_limits_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(
        "residual_sigmas = 3.0\nnoise_sigma = [1, 2, 4, 8]\npattern = [24, 31]\n"
        "[features]\nmean = [0.0, 1.0]\nprojection = [[1.0, 0.0]]\nlimits = [2, 3]\n"
    )
    limits = read_limits(path)
    assert (limits.residual_sigmas, limits.noise_sigma) == (3.0, (1, 2, 4, 8))
    assert limits.features == FeatureReference((0.0, 1.0), ((1.0, 0.0),), (2, 3))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("a = ", "cannot be read"),
        ("noise = 3", "no limit named noise"),
        ("noise_sigma = [1, 2]", "noise_sigma takes 4 numbers"),
        ("pattern = 24", "pattern takes 2 numbers"),
        ("[features]\nmean = [1.0]\nprojection = [[1.0, 2.0]]\nlimits = [1, 2]", "does not fit"),
        ("[features]\nmean = [1.0]", "not complete"),
    ],
)
def test_limits_that_cannot_be_used_are_refused_in_a_sentence(tmp_path: Path, text: str | None, reason: str) -> None:
    path = tmp_path / "limits.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        read_limits(path)
