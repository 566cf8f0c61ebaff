"""The physics of the dose simulation."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pipelines.simulate.crops import _dose
from pipelines.simulate.ct_dose import FULL_DOSE_I0, QUARTER_DOSE_I0, WATER_MU_PER_MM, Dose, low_dose, noise
from pipelines.simulate.lesions import Lesions, disc, random_lesions, render
from pipelines.simulate.parallel_beam import ParallelBeam

pytestmark = pytest.mark.torch
SIZE, PIXEL_MM, VIEWS = 96, 2.0, 180


def water(radius_mm: float = 70.0) -> Tensor:
    """A cylinder of water in air, (96, 96) HU."""
    axis = (torch.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    inside = axis**2 + (axis**2)[:, None] < radius_mm**2
    return torch.where(inside, 0.0, -1000.0)


def middle(images: Tensor) -> Tensor:
    return images[..., 36:60, 36:60]


def test_the_projection_through_the_centre_is_the_length_times_mu() -> None:
    beam = ParallelBeam(SIZE, PIXEL_MM, VIEWS)
    path = beam.project((water() / 1000 + 1) * WATER_MU_PER_MM)
    centre = path[:, beam.bins // 2 - 1 : beam.bins // 2 + 1].mean()
    assert float(centre) == pytest.approx(140 * WATER_MU_PER_MM, rel=0.03)
    assert float(path[:, 3].abs().max()) == 0.0


def test_every_view_sees_the_same_mass() -> None:
    beam = ParallelBeam(SIZE, PIXEL_MM, VIEWS)
    mass = beam.project(water() / 1000 + 1).sum(1)
    assert float((mass / mass.mean() - 1).abs().max()) < 0.01


def test_back_projection_gives_the_object_back() -> None:
    beam = ParallelBeam(SIZE, PIXEL_MM, VIEWS)
    image = beam.reconstruct(beam.project((water() / 1000 + 1) * WATER_MU_PER_MM)[None], "ramp")[0]
    assert float(middle(image).mean()) == pytest.approx(WATER_MU_PER_MM, rel=0.03)
    assert abs(float(image[:8, :8].mean())) < 0.01 * WATER_MU_PER_MM


def test_an_object_off_centre_stays_where_it_is() -> None:
    dot = torch.zeros(SIZE, SIZE)
    dot[30, 61] = 1.0
    beam = ParallelBeam(SIZE, PIXEL_MM, VIEWS)
    image = beam.reconstruct(beam.project(dot)[None], "hann")[0]
    assert divmod(int(image.argmax()), SIZE) == (30, 61)


def test_noise_falls_with_the_root_of_the_photons() -> None:
    doses = (Dose(4e4, electronic_sigma=0.0), Dose(16e4, electronic_sigma=0.0))
    low, high = middle(noise(water(), PIXEL_MM, doses, 1, VIEWS)).std((1, 2))
    assert float(low / high) == pytest.approx(2.0, rel=0.12)


def test_noise_has_the_level_that_theory_gives() -> None:
    """Var = pi^2 / (views d^2) * integral of (|f| H)^2 * exp(p) / I0 at the centre (Kak and Slaney 1988, chapter 5)."""
    i0 = 1e5
    found = middle(noise(water(), PIXEL_MM, (Dose(i0, electronic_sigma=0.0),), 2, VIEWS))[0].std()
    frequency = np.linspace(-0.5, 0.5, 2001)
    response = np.abs(frequency) * (0.5 + 0.5 * np.cos(2 * math.pi * frequency))
    variance = math.pi**2 / (VIEWS * PIXEL_MM**2) * np.trapezoid(response**2, frequency)
    expected = math.sqrt(variance * math.exp(140 * WATER_MU_PER_MM) / i0) * 1000 / WATER_MU_PER_MM
    assert float(found) == pytest.approx(expected, rel=0.15)


def test_noise_has_no_mean() -> None:
    images = noise(water(), PIXEL_MM, (Dose(1e5),) * 8, 3, VIEWS)
    spread = middle(images).std()
    assert abs(float(middle(images).mean())) < 0.05 * float(spread)


def test_a_softer_kernel_leaves_less_noise() -> None:
    doses = (Dose(1e5, "ramp"), Dose(1e5, "hann"), Dose(1e5, "soft"))
    ramp, hann, soft = middle(noise(water(), PIXEL_MM, doses, 4, VIEWS)).std((1, 2)).tolist()
    assert ramp > 2 * hann > 2 * soft


def test_the_same_seed_gives_the_same_noise_and_another_seed_other_noise() -> None:
    first, again, other = (low_dose(water(), PIXEL_MM, Dose(), seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_electronic_noise_adds_to_a_starved_scan() -> None:
    doses = (Dose(2e3, electronic_sigma=0.0), Dose(2e3, electronic_sigma=10.0))
    quiet, loud = middle(noise(water(), PIXEL_MM, doses, 7, VIEWS)).std((1, 2))
    assert float(loud) > 1.1 * float(quiet)


def test_a_slice_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        noise(torch.zeros(8, 9), 1.0, (Dose(),), 0)


def test_the_quarter_dose_is_a_quarter() -> None:
    assert QUARTER_DOSE_I0 * 4 == FULL_DOSE_I0


def test_noise_of_the_bank_is_scaled_by_no_more_than_electronic_noise_allows() -> None:
    rng = np.random.default_rng(0)
    scales = [_dose(rng)[1] for _ in range(500)]
    assert 0.5 <= min(scales) < 1 < max(scales) <= 2.0


def test_a_disc_has_the_area_of_its_radius() -> None:
    assert float(disc((40, 40), (20, 19), 4.0).sum()) == pytest.approx(math.pi * 16, rel=0.05)


def test_lesions_stay_within_their_contrast_and_reach_the_centre_slice() -> None:
    lesions = random_lesions(np.random.default_rng(1), 4, 64, mean_count=8)
    added, presence = render(lesions, 4, 64, torch.device("cpu"))
    assert added.shape == (4, 3, 64, 64)
    assert presence.shape == (4, 64, 64)
    assert float(presence.min()) >= 0.0
    assert float(presence.max()) <= 1.0
    assert float(added[:, 1][presence > 0.9].abs().max()) >= 5 * 0.9
    assert float(added[:, 1][presence < 1e-6].abs().max()) < 1e-3


def test_a_round_lesion_is_the_disc_that_the_evaluation_uses() -> None:
    row = [20.0, 30.0, 0.3, 1.0, 0.0, 4.0, 0.6, 0.0, 50.0, 0.0, 0.5]
    one = Lesions(np.array([1]), np.array([row], np.float32))
    added, presence = render(one, 2, 64, torch.device("cpu"))
    expected = disc((64, 64), (20, 30), 4.0)
    assert np.allclose(presence[1], expected, atol=1e-4)
    assert float(presence[0].max()) == 0.0
    assert np.allclose(added[1], np.stack([0 * expected, 50 * expected, 25 * expected]), atol=1e-2)


def test_a_crop_without_lesions_is_left_alone() -> None:
    none = random_lesions(np.random.default_rng(0), 2, 32, mean_count=0.0)
    added, presence = render(none, 2, 32, torch.device("cpu"))
    assert float(added.abs().sum() + presence.sum()) == 0.0
