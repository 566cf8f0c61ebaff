"""Guards: a bounded residual, a kept mean, and numbers that mean what they say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.api import Envelope, GuardLimits
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.guards.envelope import check_envelope
from dicomnode.enhance.guards.finite import finite
from dicomnode.enhance.guards.low_frequency import low_frequency
from dicomnode.enhance.guards.residual_bound import local_sigma, residual_bound
from dicomnode.enhance.guards.smooth import low_pass

pytestmark = pytest.mark.torch

OFF = (1e9, 1e9)


def noise(seed: int, height: int, width: int, sigma: float = 30.0) -> torch.Tensor:
    values = np.random.default_rng(seed).normal(0, sigma, (2, height, width))
    return torch.from_numpy(values.astype(np.float32))


sizes = st.integers(5, 90)


@settings(max_examples=25, deadline=None)
@given(height=sizes, width=sizes, sigma=st.floats(0.7, 40), seed=st.integers(0, 99))
def test_the_low_pass_keeps_mean_and_constants(height: int, width: int, sigma: float, seed: int) -> None:
    image = noise(seed, height, width)
    smooth = low_pass(image, sigma)
    assert torch.allclose(smooth.mean((1, 2)), image.mean((1, 2)), atol=1e-3)
    assert torch.allclose(low_pass(torch.full_like(image, -1024.0), sigma), torch.tensor(-1024.0), atol=1e-2)
    assert smooth.std() <= image.std()


@settings(max_examples=25, deadline=None)
@given(height=sizes, width=sizes, seed=st.integers(0, 99), sigmas=st.floats(0.1, 5), scale=st.floats(0, 20))
def test_no_pixel_leaves_the_bound(height: int, width: int, seed: int, sigmas: float, scale: float) -> None:
    source = noise(seed, height, width) + 100
    output = source + scale * noise(seed + 1, height, width)
    bounded, figures = residual_bound(sigmas, OFF)(source, output)
    sigma, _ = local_sigma(source)
    assert bool(((bounded - source).abs() <= sigmas * sigma + 1e-3).all())
    inside = (output - source).abs() <= sigmas * sigma
    assert torch.allclose(bounded[inside], output[inside], atol=1e-3), "what is inside the bound is left alone"
    assert all(0 <= figure.value <= 1 for figure in figures)


@settings(max_examples=25, deadline=None)
@given(height=sizes, width=sizes, seed=st.integers(0, 99), shift=st.floats(-80, 80), sigma=st.floats(1, 20))
def test_the_mean_is_kept_and_the_shift_reported(
    height: int, width: int, seed: int, shift: float, sigma: float
) -> None:
    source = noise(seed, height, width) + 40
    kept, figures = low_frequency(sigma, (10.0, 40.0))(source, source + shift)
    assert torch.allclose(kept, source, atol=1e-2)
    assert [figure.value for figure in figures] == pytest.approx([abs(shift)] * 2, abs=1e-2)
    size = abs(shift)
    if min(abs(size - 10), abs(size - 40)) > 0.1:
        expected = Verdict.PASS if size < 10 else Verdict.FLAG if size < 40 else Verdict.WITHHOLD
        assert all(figure.verdict is expected for figure in figures)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), scale=st.floats(0, 3))
def test_both_together_keep_the_mean_of_each_slice(seed: int, scale: float) -> None:
    source = noise(seed, 64, 80) + 40
    output = source + scale * noise(seed + 1, 64, 80) + 7
    guarded, figures = apply_guards(guards_of(GuardLimits(residual_sigmas=3, low_frequency_sigma=8)), source, output)
    assert torch.allclose(guarded.mean((1, 2)), source.mean((1, 2)), atol=1e-2)
    assert [[figure.guard for figure in row] for row in figures] == [["finite", "residual bound", "low frequency"]] * 2


@pytest.mark.parametrize("sigma", [5.0, 30.0, 120.0])
def test_the_noise_estimate_is_near_the_truth(sigma: float) -> None:
    estimate, typical = local_sigma(noise(1, 256, 256, sigma) + 1000)
    assert float(estimate.median()) == pytest.approx(sigma, rel=0.05)
    assert float(typical.mean()) == pytest.approx(sigma, rel=0.05)


def test_edges_and_lesions_neither_hide_in_the_noise_estimate_nor_are_cut() -> None:
    source = noise(2, 256, 256, 20)
    y, x = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    source[:, :, 128:] += 600
    lesion = (x - 60) ** 2 + (y - 60) ** 2 < 36
    source[:, lesion] += 40
    estimate, _ = local_sigma(source)
    assert float(estimate[:, lesion].mean()) == pytest.approx(20, rel=0.25)
    assert float(estimate[:, :, 120:136].median()) < 60, "an edge of 600 HU fills less than half of its tiles"
    clean = source.clone()
    clean[:, :, :128] = 0.0
    clean[:, :, 128:] = 600.0
    clean[:, lesion] = 40.0
    bounded, figures = residual_bound(3.0, (0.02, 0.1))(source, clean)
    assert all(figure.verdict is Verdict.PASS for figure in figures)
    assert float((bounded - clean).abs().mean()) < 0.5, "taking the noise away is within the bound"


def test_flat_air_does_not_tie_the_skin_down() -> None:
    source = torch.full((1, 128, 128), -1024.0)
    source[:, 38:, :] = 40 + noise(3, 90, 128, 20)[:1]
    estimate, typical = local_sigma(source)
    assert float(estimate[:, 38:44].min()) > 10, "rows in a tile that is mostly air borrow from the tile below"
    assert float(typical) == pytest.approx(20, rel=0.1)


def test_a_picture_without_noise_must_stay_as_it_is() -> None:
    source = torch.full((1, 64, 64), 100.0)
    bounded, (figure,) = residual_bound(3.0, (0.02, 0.1))(source, source + 5)
    assert torch.equal(bounded, source)
    assert (figure.verdict, figure.value) == (Verdict.WITHHOLD, 1.0)


def test_a_hallucination_is_bounded_and_withheld() -> None:
    source = noise(4, 128, 128, 10)
    output = source.clone()
    output[:, 20:70, 20:70] += 200
    bounded, figures = residual_bound(3.0, (0.02, 0.1))(source, output)
    assert float((bounded - source).max()) < 45
    assert figures[0].verdict is Verdict.WITHHOLD
    assert figures[0].value == pytest.approx(2500 / 128**2, rel=0.02)
    assert "15." in figures[0].reason


def test_what_is_not_finite_is_replaced_and_withheld() -> None:
    source = noise(5, 16, 16)
    output = source + 1
    output[0, 3, 3], output[0, 4, 4] = float("nan"), float("inf")
    found, (bad, good) = finite(source, output)
    assert (bad.verdict, bad.value, good.verdict) == (Verdict.WITHHOLD, 2, Verdict.PASS)
    assert float(found[0, 3, 3]) == float(source[0, 3, 3])
    assert torch.equal(found[1], output[1])


def test_guards_that_are_switched_off_do_nothing() -> None:
    source, output = noise(6, 16, 16), noise(7, 16, 16)
    found, figures = apply_guards(guards_of(GuardLimits()), source, output)
    assert torch.equal(found, output)
    assert [[figure.guard for figure in row] for row in figures] == [["finite"]] * 2


def facts(**values: object) -> SeriesFacts:
    return SeriesFacts({name: AttributeFacts("LO", {(value,): 1}) for name, value in values.items()}, {})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("instances", "reason"),
    [
        ([facts(Modality="ct", KVP=120)], ""),
        ([facts(Modality="CT")], ""),
        ([facts(Modality="MR", KVP=120)], "Modality is MR, the model knows CT"),
        ([facts(Modality="CT", KVP=120), facts(Modality="CT", KVP=160)], "KVP is 160, the model knows 70 to 150"),
        ([facts(KVP=120), facts(Modality="CT")], "Modality is absent in 1 of 2 images"),
        ([facts(Modality="CT", KVP="many")], "KVP is many"),
    ],
)
def test_the_envelope_holds_every_image(instances: list[SeriesFacts], reason: str) -> None:
    envelope = Envelope(text={"Modality": ("CT",)}, number={"KVP": (70, 150)}, required=("Modality",))
    figure = check_envelope(envelope, instances, SeriesFacts({}, {}))
    assert figure.verdict is (Verdict.WITHHOLD if reason else Verdict.PASS)
    assert figure.reason.startswith(reason)


def test_the_envelope_knows_computed_facts_of_the_series() -> None:
    envelope = Envelope(number={"spacing_between_slices": (0.5, 5)})
    series = SeriesFacts({}, {"spacing_between_slices": 9.0})
    assert check_envelope(envelope, [facts(Modality="CT")], series).verdict is Verdict.WITHHOLD
