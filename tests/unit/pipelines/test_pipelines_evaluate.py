"""The figures of the evaluation, at points where the answer is known."""

import numpy as np
import pytest

from pipelines.evaluate.classical import FILTERS, bilateral, tune
from pipelines.evaluate.contrast import DISCS, flat_places, kept
from pipelines.evaluate.evaluation import SLAB_GAIN_DB, STRENGTHS, choose
from pipelines.evaluate.figures import body, psnr, rmse, ssim
from pipelines.evaluate.heldout import HELDOUT, HELDOUT_SLICES, TUNING_SLICES, Slice
from pipelines.evaluate.methods import filtered, unchanged
from pipelines.evaluate.outputs import matched_strength, run
from pipelines.evaluate.rows import Row, gain, measure
from pipelines.evaluate.texture import noise_texture
from pipelines.simulate.bank import TRAINING_VOLUMES, VALIDATION_SLABS, _thicker
from pipelines.volume import Volume


def phantom(size: int = 96) -> np.ndarray:
    """A patient of 40 HU with a lung, on a table, in air."""
    rows, columns = np.mgrid[:size, :size] - size / 2
    hu = np.full((size, size), -1000.0, np.float32)
    hu[rows**2 + columns**2 < (0.4 * size) ** 2] = 40.0
    hu[(rows + 20) ** 2 + columns**2 < 100] = -800.0
    hu[-4:-2] = 200.0
    return hu


def noisy(sigma: float = 20.0, seed: int = 0) -> np.ndarray:
    clean = phantom()
    return (clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)).astype(np.float32)


def one_slice(seed: int) -> Slice:
    clean = phantom()
    stack = np.stack([noisy(seed=seed + row) for row in range(3)])
    return Slice(f"phantom {seed}", stack, clean, body(clean), [(62, 40), (62, 60)])


def test_the_body_has_its_lung_and_not_the_table() -> None:
    inside = body(phantom())
    assert inside[28, 48]
    assert not inside[-3, 48]
    assert not inside[2, 2]
    assert not body(np.full((32, 32), -1000.0, np.float32)).any()


def test_psnr_is_over_two_thousand_hu() -> None:
    clean = np.zeros((64, 64), np.float32)
    assert psnr(clean + 20, clean) == pytest.approx(40.0)
    assert psnr(clean + 5000, clean + 4000) > 100  # both beyond the range are equal


def test_rmse_and_ssim_of_an_image_with_itself() -> None:
    clean = phantom()
    assert rmse(clean + 3, clean, body(clean)) == pytest.approx(3.0, rel=1e-5)
    assert ssim(clean, clean, body(clean)) == pytest.approx(1.0)
    assert ssim(noisy(), clean, body(clean)) < 0.9


def test_texture_tells_white_from_soft_noise() -> None:
    from scipy import ndimage

    white = np.random.default_rng(0).normal(0, 10, (128, 128)).astype(np.float32)
    soft = ndimage.gaussian_filter(white, 1.5)
    places = [(r, c) for r in range(16, 112, 16) for c in range(16, 112, 16)]
    level, grain = noise_texture(white, places)
    assert level == pytest.approx(10, rel=0.05)
    assert grain == pytest.approx(1 / 3, abs=0.02)  # mean radius of a disc of 0.5 cycles/px
    assert noise_texture(soft, places)[1] < 0.7 * grain
    with pytest.raises(ValueError, match="no flat"):
        noise_texture(white, [])


def test_places_are_flat_soft_tissue_apart_from_each_other() -> None:
    places = flat_places(phantom())
    assert places
    for row, column in places:
        assert (phantom()[row - 8 : row + 9, column - 8 : column + 9] == 40.0).all()
    gaps = [max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a in places for b in places if a != b]
    assert min(gaps, default=28) >= 28


def test_doing_nothing_keeps_all_contrast_and_a_mean_keeps_none() -> None:
    each = one_slice(0)
    for kind, share in kept(unchanged, each.noisy, each.places).items():
        assert kind in DISCS
        assert share == pytest.approx(1.0, abs=1e-3)
    flattened = kept(lambda stack: np.full_like(stack[1], stack[1].mean()), each.noisy, each.places)
    assert max(flattened.values()) < 0.1


def test_half_strength_keeps_half_of_what_is_lost() -> None:
    each = one_slice(0)
    lost = {kind: 1 - share for kind, share in kept(filtered(_blurred), each.noisy, each.places).items()}
    for kind, share in kept(filtered(_blurred, 0.5), each.noisy, each.places).items():
        assert 1 - share == pytest.approx(lost[kind] / 2, rel=0.01)


def test_a_filter_of_no_width_changes_little_and_a_wide_one_lowers_noise() -> None:
    image = noisy()
    assert np.abs(bilateral(image, sigma=0.2, contrast=1.0) - image).max() < 0.1
    inside = (slice(56, 80), slice(36, 60))
    assert bilateral(image, sigma=1.8, contrast=130.0)[inside].std() < 0.5 * image[inside].std()


def test_every_classical_filter_has_the_same_budget_and_gains() -> None:
    assert {len(grid) for _, grid in FILTERS.values()} == {12}
    clean = phantom()
    for tuned in tune([(noisy(), clean)], threads=1):
        assert tuned.psnr > psnr(noisy(), clean), tuned.name
        assert psnr(tuned(noisy()), clean) == pytest.approx(tuned.psnr)


def test_the_paired_gain_is_by_slice() -> None:
    low = Row("low", {"psnr": [30.0, 32.0, 34.0]}, {})
    high = Row("high", {"psnr": [31.0, 33.0, 35.0]}, {})
    found = gain(high, low)
    assert found.better == 3
    assert (found.mean, found.spread, found.low, found.high) == pytest.approx((1.0, 0.0, 1.0, 1.0))


def test_a_row_measures_every_slice() -> None:
    row = measure("input", run("input", unchanged, [one_slice(0), one_slice(5)], threads=2), 1.0)
    assert len(row.values["psnr"]) == 2
    assert row.mean("rmse") == pytest.approx(20, rel=0.1)
    assert row.contrast[4, 60] == pytest.approx(1.0, abs=1e-3)


def test_a_lower_strength_is_the_blend_that_a_method_would_have_made() -> None:
    slices = [one_slice(0), one_slice(5)]
    blended, whole = run("half", filtered(_blurred, 0.5), slices, 1), run("whole", filtered(_blurred), slices, 1)
    assert whole.image(1, 0.5) == pytest.approx(blended.images[1], abs=1e-3)
    for kind in DISCS:
        assert whole.kept(kind, 0.5) == pytest.approx(blended.kept(kind, 1.0), abs=1e-3)
    assert whole.noise(0.0) == pytest.approx(20, rel=0.1)


def test_matched_noise_is_the_noise_that_was_asked_for() -> None:
    outputs = run("blur", filtered(_blurred), [one_slice(0), one_slice(5)], 1)
    strength = matched_strength(outputs, 10.0)
    assert strength is not None
    assert outputs.noise(strength) == pytest.approx(10.0, rel=1e-4)
    assert matched_strength(outputs, outputs.noise(1.0) / 2) is None


def test_the_strength_is_the_lowest_that_gains_enough_else_all() -> None:
    by_strength = {strength: 40.0 + 2 * strength for strength in STRENGTHS}
    enough = choose(by_strength, 40.0 + 1.35 - SLAB_GAIN_DB)
    assert enough == 0.7
    assert choose(by_strength, 45.0) == 1.0


def test_nothing_is_chosen_on_the_held_out_patient() -> None:
    assert HELDOUT not in TRAINING_VOLUMES
    assert {"cxr", "lung1"} == set(TRAINING_VOLUMES)
    assert min(HELDOUT_SLICES) >= 1  # every slice has a neighbour on each side


def test_validation_slices_and_their_neighbours_are_inside_their_slab() -> None:
    for name, chosen in TUNING_SLICES.items():
        for z in chosen:
            assert {z - 1, z, z + 1} <= set(VALIDATION_SLABS[name])


def test_thicker_slices_keep_the_slab_apart() -> None:
    volume = Volume("cxr", np.arange(133, dtype=np.float32)[:, None, None], (2.5, 0.7, 0.7), (0, 0, 0))
    thick, slab = _thicker(volume, VALIDATION_SLABS["cxr"])
    kept_apart = set(VALIDATION_SLABS["cxr"])
    for z in range(len(thick.hu)):
        if z not in slab:
            assert not {2 * z, 2 * z + 1} & kept_apart
            assert thick.hu[z, 0, 0] == 2 * z + 0.5


def _blurred(image: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    smooth: np.ndarray = ndimage.gaussian_filter(image, 2.0)
    return smooth
