"""What is made up and what is lost: pure noise, agreement by detail, spots, bias by region."""

import numpy as np
import pytest
from scipy import ndimage

from pipelines.evaluate.bias import by_label, class_masks, error_image
from pipelines.evaluate.blobs import RADIUS, contrast, count
from pipelines.evaluate.heldout import Slice
from pipelines.evaluate.noise_only import kernel_noise, structure
from pipelines.evaluate.ring import PATCH, patches, ring_correlation
from pipelines.evaluate.robustness import measured, worth_withholding
from pipelines.simulate.lesions import disc


def test_normal_noise_has_no_structure() -> None:
    found = structure([kernel_noise(seed) for seed in (1, 2)], surrogates=20)
    assert found.noise == pytest.approx(35, rel=0.03)
    assert abs(found.kurtosis) < 0.1
    assert found.blob < 1.15 * found.usual


def test_a_spot_in_the_noise_is_structure() -> None:
    image = kernel_noise(1) + 150 * disc((256, 256), (128, 128), 4.0)
    found = structure([image], surrogates=20)
    assert found.blob > 1.5 * found.usual


def test_noise_that_is_left_in_patches_is_structure() -> None:
    """As a filter leaves it that smooths all but some places."""
    noise = kernel_noise(1)
    smooth = ndimage.gaussian_filter(noise, 3.0)
    smooth[100:120, 100:120] = noise[100:120, 100:120]
    assert structure([smooth], surrogates=20).kurtosis > 3


def test_weighing_frequencies_keeps_the_ring_correlation_and_noise_lowers_it() -> None:
    rng = np.random.default_rng(0)
    reference = ndimage.gaussian_filter(rng.normal(0, 100, (PATCH, PATCH)), 1.0)
    assert ring_correlation(reference, reference) == pytest.approx(1.0)
    assert ring_correlation(5 * reference + 3, reference) == pytest.approx(1.0)
    noisy = reference + rng.normal(0, 20, reference.shape)
    worse = reference + rng.normal(0, 60, reference.shape)
    assert 1 > ring_correlation(noisy, reference).mean() > ring_correlation(worse, reference).mean()
    assert abs(ring_correlation(rng.normal(size=reference.shape), reference).mean()) < 0.15


def test_patches_lie_in_the_mask() -> None:
    inside = np.zeros((200, 200), np.bool_)
    inside[10:180, 10:180] = True
    found = patches(inside)
    assert found
    assert all(inside[at].all() for at in found)


def test_spots_drawn_and_wiped_out_are_told_apart() -> None:
    flat = np.full((96, 96), 40.0, np.float32)
    with_spot = flat + 40 * disc(flat.shape, (48, 48), RADIUS)
    everywhere = np.ones(flat.shape, np.bool_)
    assert contrast(with_spot)[48, 48] == pytest.approx(40, rel=0.12)
    assert count(with_spot, flat, everywhere, 20.0) == (1, 0)
    assert count(flat, with_spot, everywhere, 20.0) == (0, 1)
    assert count(with_spot, with_spot, everywhere, 20.0) == (0, 0)
    assert count(with_spot, flat, ~everywhere, 20.0) == (0, 0)


def test_the_noise_itself_is_no_bias_and_an_offset_is() -> None:
    clean = np.full((3, 32, 32), 40.0, np.float32)
    noisy = clean + np.random.default_rng(0).normal(0, 30, clean.shape).astype(np.float32)
    assert np.abs(error_image(lambda stack: stack[1], noisy, clean)).max() < 1e-4
    assert error_image(lambda stack: stack[1] + 2.0, noisy, clean) == pytest.approx(2.0, abs=1e-4)


def test_bias_by_label_needs_pixels_enough() -> None:
    labels = np.zeros((100, 100), np.int64)
    labels[:50] = 1
    labels[50:60, :10] = 2
    error = np.where(labels == 1, 1.5, 9.0).astype(np.float32)
    (found,) = by_label("body", [error], [labels], {1: "liver", 2: "duct"})
    assert (found.region, found.pixels) == ("liver", 5000)
    assert found.error == pytest.approx(1.5)


def test_classes_of_tissue_keep_off_their_borders() -> None:
    hu = np.full((96, 96), -1000.0, np.float32)
    hu[8:88, 8:88] = 40.0
    hu[30:60, 30:60] = -800.0
    masks = class_masks(hu)
    assert masks["lung"][45, 45]
    assert not masks["lung"][31, 31]
    assert masks["soft tissue"][70, 70]
    assert masks["air"][2, 2]
    assert not masks["bone"].any()


def test_what_is_worse_than_its_input_is_worth_withholding() -> None:
    clean = np.full((64, 64), 40.0, np.float32)
    noisy = np.stack([clean + np.random.default_rng(row).normal(0, 10, clean.shape) for row in range(3)])
    one = Slice("flat", noisy.astype(np.float32), clean, np.ones(clean.shape, np.bool_), [])
    assert not worth_withholding(one.noisy[1], one)
    assert not worth_withholding(clean, one)
    assert worth_withholding(clean + 6, one)  # a mean error beyond 5 HU
    assert worth_withholding(clean + 3 * (one.noisy[1] - clean), one)
    assert measured(clean + 6, one)[2] == pytest.approx(6.0)
