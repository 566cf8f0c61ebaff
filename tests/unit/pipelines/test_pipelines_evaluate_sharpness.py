"""Transfer, texture and shift, where theory gives the answer."""

import numpy as np
import pytest
from scipy import ndimage

from pipelines.evaluate.noise_only import kernel_noise
from pipelines.evaluate.preserved import overlap, shift
from pipelines.evaluate.sharpness import RADIUS, profile, scanned_disc, transfer
from pipelines.evaluate.texture import noise_texture, spectrum

PLACES = [(r, c) for r in range(16, 240, 16) for c in range(16, 240, 16)]


def test_the_transfer_of_a_gaussian_is_that_of_theory() -> None:
    """Blurred with a Gaussian of sigma, transfer falls to one half at sqrt(ln 2 / 2) / (pi sigma)."""
    fine = np.zeros((49 * 8, 49 * 8))
    axis = (np.arange(49 * 8) + 0.5) / 8 - 24.5
    fine[np.hypot(axis[:, None], axis[None]) <= RADIUS] = 1.0
    for sigma in (1.2, 1.8):
        blurred = ndimage.gaussian_filter(fine, 8 * sigma)[4::8, 4::8]
        found = transfer(profile([blurred.astype(np.float32)]))
        assert found.mtf50 == pytest.approx(np.sqrt(np.log(2) / 2) / (np.pi * sigma), rel=0.06)
        assert found.mtf10 == pytest.approx(np.sqrt(np.log(10) / 2) / (np.pi * sigma), rel=0.08)


def test_the_height_of_an_edge_does_not_change_its_transfer() -> None:
    edge = profile([scanned_disc(0.7)])
    assert transfer(300 * edge).mtf50 == pytest.approx(transfer(edge).mtf50)
    assert transfer(edge).transfer[0] == pytest.approx(1.0)


def test_the_scanner_shows_a_disc_at_its_height_with_a_soft_edge() -> None:
    form = scanned_disc(0.7)
    centre = len(form) // 2
    assert form[centre - 4 : centre + 5, centre - 4 : centre + 5].mean() == pytest.approx(1.0, abs=0.02)
    assert abs(form[:4].mean()) < 0.02
    assert 0.15 < transfer(profile([form])).mtf50 < 0.45


def test_a_spectrum_holds_the_variance_of_the_noise() -> None:
    white = np.random.default_rng(0).normal(0, 10, (256, 256)).astype(np.float32)
    found = spectrum([white], [PLACES])
    assert np.mean(found.power) == pytest.approx(100, rel=0.05)  # white: HU^2 px^2 is the variance at every frequency
    assert max(found.power) < 1.2 * min(found.power)
    assert found.distance(found) == 0


def test_blurred_noise_is_farther_from_white_the_more_it_is_blurred() -> None:
    white = np.random.default_rng(0).normal(0, 10, (256, 256)).astype(np.float32)
    reference = spectrum([white], [PLACES])
    distances = [reference.distance(spectrum([ndimage.gaussian_filter(white, s)], [PLACES])) for s in (0.3, 0.6, 1.2)]
    assert distances == sorted(distances)
    assert reference.distance(spectrum([3 * white], [PLACES])) == pytest.approx(0, abs=1e-6)  # form, not height


def test_noise_of_the_kernel_is_finer_than_its_blur_and_has_its_level() -> None:
    level, grain = noise_texture(kernel_noise(1), PLACES)
    assert level == pytest.approx(35, rel=0.05)
    assert 0.15 < grain < 0.3


def test_a_shift_of_a_fifth_of_a_pixel_is_found() -> None:
    image = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 100, (128, 128)), 3.0).astype(np.float32)
    moved = np.fft.ifft2(ndimage.fourier_shift(np.fft.fft2(image), (0.2, 0.0))).real.astype(np.float32)
    assert shift(image, moved) == pytest.approx(0.2, abs=0.011)
    assert shift(image, image) == 0


def test_masks_of_the_same_image_overlap_and_others_do_not() -> None:
    clean = np.full((64, 64), 40.0, np.float32)
    clean[:32] = -700.0
    inside = np.ones(clean.shape, np.bool_)
    assert overlap(clean, clean, inside) == {"lung": 1.0, "soft tissue": 1.0}  # too little bone to compare
    half = clean.copy()
    half[:, :32] = 1000.0
    assert overlap(half, clean, inside)["lung"] == pytest.approx(2 / 3)
