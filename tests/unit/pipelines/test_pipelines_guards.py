"""The guards of ct-denoise: limits that belong to the weights, and an evaluation that sees what it should."""

import hashlib
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dicomnode.enhance.api import GuardLimits, Verdict, read_limits
from pipelines.ct_denoise import CTDenoise
from pipelines.data import DataError
from pipelines.evaluate.guard_blobs import RADII, Planted, curve, planted, stated
from pipelines.evaluate.guard_cases import (
    ADDED_SOFT,
    IN_DOMAIN,
    INSIDE,
    OUT_OF_DOMAIN,
    PERIODS,
    Trial,
    head_trials,
    softened,
    synthetic_trials,
)
from pipelines.evaluate.guard_page import case_table, page
from pipelines.evaluate.guard_patterns import FORMS, HEIGHTS_HU, Patterned, patterned
from pipelines.evaluate.guard_picture import write_picture
from pipelines.evaluate.guard_rates import OUTSIDE, Rate, wanted
from pipelines.evaluate.guards import Case, judge, loaded, main, run
from pipelines.evaluate.heldout import HELDOUT
from pipelines.evaluate.methods import WEIGHTS
from pipelines.gan.calibrate import OPEN, Measured, limits_of, limits_text, measure
from pipelines.simulate.doses import noisy_stacks
from pipelines.volume import Volume, load_volume

LIMITS = WEIGHTS.with_suffix(".limits.toml")


@pytest.fixture(scope="module")
def pipeline() -> CTDenoise:
    return loaded()


def test_the_limits_were_calibrated_with_the_shipped_weights() -> None:
    sha256 = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    assert sha256 in LIMITS.read_text(), "new weights: run `python -m pipelines.gan.calibrate`"
    assert read_limits(LIMITS) == CTDenoise.guards


def test_what_the_calibration_writes_is_what_the_pipeline_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    noise = ("input noise", "typical noise", "input grain", "input kernel")
    names = (*noise, "change", "blobs", "wide blobs", "edges", "pattern")
    columns = {name: rng.uniform(0.2, 0.5, 40) for name in names}
    columns["input noise"][3] = np.nan
    limits = limits_of(Measured(columns, features=rng.normal(5, 2, (40, 16))))
    path = tmp_path / "limits.toml"
    path.write_text(limits_text(limits, "ab" * 32))
    assert read_limits(path) == limits
    for band in (limits.noise_sigma, limits.noise_tail, limits.change):
        assert band is not None
        assert list(band) == sorted(band)
    assert limits.features is not None
    assert 1.0 < limits.features.limits[0] < limits.features.limits[1]


@pytest.mark.torch
def test_the_calibration_measures_what_every_guard_with_a_limit_says(pipeline: CTDenoise) -> None:
    stack = 40 + 20 * torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    found = measure(pipeline, [stack, 2 * stack])
    limits = limits_of(found)
    switched = {name for name, value in vars(OPEN).items() if value is not None}
    assert switched | {"body_share", "features"} == {name for name, value in vars(limits).items() if value is not None}
    assert all(len(numbers) == 2 for numbers in found.numbers.values())
    assert limits.noise_sigma is not None
    assert limits.noise_sigma[1] < 15 < 35 < limits.noise_sigma[2]


@pytest.mark.torch
def test_the_features_are_kept_from_the_run_at_the_default_texture(pipeline: CTDenoise) -> None:
    slices = torch.randn(2, 3, 64, 48) * 30
    pipeline.enhance(slices, CTDenoise.Params())
    found = pipeline.features(slices)
    assert found is not None
    assert CTDenoise.guards.features is not None
    assert found.shape == (2, len(CTDenoise.guards.features.mean))
    pipeline.enhance(slices, CTDenoise.Params(texture=0.25))
    assert pipeline.features(slices) is None, "another network, whose features the limits do not know"


@pytest.fixture(scope="module")
def chest() -> Volume:
    return load_volume(HELDOUT, with_labels=False)


@pytest.mark.torch
def test_a_real_chest_passes_and_other_kernels_do_not(pipeline: CTDenoise, chest: Volume) -> None:
    inside, sharp = IN_DOMAIN["dose 1/4"], OUT_OF_DOMAIN["sharp kernel, dose 1/4"]
    stacks = noisy_stacks(chest, 30, (inside, sharp))
    usual, _ = judge(pipeline, Trial("", stacks[inside]))
    assert set(usual.values()) == {Verdict.PASS}
    assert judge(pipeline, Trial("", stacks[sharp]))[0]["input grain"] is Verdict.FLAG
    assert judge(pipeline, Trial("", softened(stacks[inside])))[0]["input kernel"] is Verdict.FLAG


@pytest.mark.torch
def test_patterns_and_discs_in_a_real_chest_are_noticed(pipeline: CTDenoise, chest: Volume) -> None:
    dose = IN_DOMAIN["dose 1/4"]
    stack = noisy_stacks(chest, 30, (dose,))[dose]
    patterns = list(patterned(pipeline, stack))
    assert len(patterns) == len(FORMS) * len(PERIODS) * len(HEIGHTS_HU)
    assert all(one.noticed for one in patterns if one.height >= 20)
    discs = list(planted(pipeline, stack, [(150, 256)]))
    assert {one.radius for one in discs} == set(RADII)
    assert all(one.noticed for one in discs if one.radius >= 4 and 2 < one.cnr < 6)
    assert not any(one.noticed for one in discs if one.radius == 2 and one.cnr < 0.5)


def test_a_soft_kernel_keeps_the_tissue_and_takes_the_finest_detail() -> None:
    stack = 40 + 20 * torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    seen = softened(stack)
    assert torch.equal(seen, seen.round())
    assert float(seen.mean()) == pytest.approx(float(stack.mean()), abs=0.05)
    power = torch.fft.fft2(seen).abs().square().mean((0, 1))
    frequency = torch.fft.fftfreq(128)
    radius = torch.hypot(frequency[:, None], frequency[None])
    assert float(power[radius > 0.36].mean()) < 1e-3 * float(power[(radius > 0) & (radius < 0.1)].mean())


@pytest.mark.torch
def test_noise_and_checkerboards_without_a_patient_fire(pipeline: CTDenoise) -> None:
    cases = run(pipeline, synthetic_trials(size=128))
    assert [case.slices for case in cases.values()] == [20, 12]
    assert all(case.fired == case.slices for case in cases.values())


def test_without_a_head_the_data_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        next(head_trials(tmp_path))


def test_the_command_without_data_ends_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["guards", "--data", str(tmp_path)])
    assert main() == 2
    assert "is missing" in capsys.readouterr().err


DISCS = [Planted(4.0, 60.0, cnr, True, cnr > 1.5) for cnr in (0.2, 1.2, 1.4, 1.7, 1.9, 2.2)]


def test_the_curve_counts_discs_by_contrast_to_noise() -> None:
    rows = [(low, high, len(noticed), sum(noticed)) for low, high, noticed in curve(DISCS, 4.0)]
    assert rows == [(0, 0.25, 1, 0), (1, 1.5, 2, 0), (1.5, 2, 2, 2), (2, 2.5, 1, 1)]
    assert curve(DISCS, 2.0) == []
    assert stated(DISCS, 4.0) == [False, False, True, True, True]


def test_the_curve_becomes_a_small_picture(tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "discs.png"
    write_picture(DISCS, path)
    with Image.open(path) as picture:
        assert picture.mode == "P"
    assert path.stat().st_size < 40_000


def test_an_interval_is_that_of_clopper_and_pearson() -> None:
    assert Rate(0, 80).interval == pytest.approx((0, 1 - 0.025 ** (1 / 80)))
    assert Rate(20, 20).interval == pytest.approx((0.025 ** (1 / 20), 1))
    assert Rate(8, 40).interval == pytest.approx((0.0905, 0.3565), abs=1e-3)
    assert str(Rate(19, 20)) == "95% (19/20; 75% to 100%)"


def _cases() -> dict[str, Case]:
    cases = {name: Case(slices=20, seconds=[0.02]) for name in (*INSIDE, *ADDED_SOFT)}
    cases |= {name: Case(slices=20, fired=20, seconds=[0.02]) for name in OUTSIDE}
    return cases


def _patterns(least_noticed: float) -> list[Patterned]:
    return [
        Patterned(form, period, height, height >= least_noticed)
        for form in FORMS
        for period in PERIODS
        for height in HEIGHTS_HU
    ]


def _discs() -> list[Planted]:
    return [Planted(radius, 60.0, 3.5, removed, noticed=True) for radius in RADII for removed in (True, False)]


def test_what_is_asked_for_is_reached_or_named() -> None:
    cases = _cases()
    assert all(one.reached for one in wanted(cases, _patterns(10), _discs()))
    cases["dose 1"].fired = 7
    cases["soft kernel, dose 1"].fired = 18
    del cases["a head, dose 1/4"]
    missed = [one.name for one in wanted(cases, _patterns(20), _discs()) if not one.reached]
    assert missed[:3] == ["in the domain", "soft kernel, dose 1", "a head, dose 1/4"]
    assert len(missed) == 3 + len(FORMS) * len(PERIODS)
    assert "checkerboard of 8 px and 10 HU put out by the network" in missed


def test_the_page_says_what_is_not_reached() -> None:
    cases = _cases()
    cases["soft kernel, dose 1"] = Case(20, fired=10, withheld=5, by_guard=Counter({"features": 10}), seconds=[0.02])
    assert "| soft kernel, dose 1 | 20 | 50% (27% to 73%) | 25% | features 50% |" in case_table(cases)
    text = page(cases, _patterns(10), _discs(), "ct-denoise-9.9.safetensors", Path("docs/models/pictures/discs.png"))
    assert "- soft kernel, dose 1: 50% (10/20; 27% to 73%), asked for at least 95%." in text
    assert "- soft kernel, dose 1/4" not in text
    assert "0% (0/120; 0% to 3%) of the held-out patient's slices fired" in text
    assert "ct-denoise-9.9.limits.toml" in text
    assert "](pictures/discs.png)" in text
    assert "{" not in text


def test_a_pipeline_without_a_limits_file_is_broken_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.limits\.toml cannot be read"):
        read_limits(tmp_path / "gone.limits.toml")
    assert not GuardLimits().look_at_pixels
