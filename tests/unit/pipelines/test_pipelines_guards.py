"""The guards of ct-denoise: limits that belong to the weights, and an evaluation that sees what it should."""

import hashlib
import plistlib
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from dicomnode.enhance.api import GuardLimits, Verdict, read_limits
from pipelines.ct_denoise import CTDenoise
from pipelines.evaluate.guard_blobs import Planted, curve
from pipelines.evaluate.guard_cases import IN_DOMAIN, OUT_OF_DOMAIN, Trial, head_trials, synthetic_trials
from pipelines.evaluate.guard_page import INSIDE, page, table
from pipelines.evaluate.guards import Case, judge, loaded, run
from pipelines.evaluate.heldout import HELDOUT
from pipelines.evaluate.methods import WEIGHTS
from pipelines.gan.calibrate import Measured, limits_of, limits_text
from pipelines.simulate.doses import noisy_stacks
from pipelines.volume import load_volume

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
    columns = {name: rng.uniform(0.2, 0.5, 40) for name in ("sigma", "frequency", "change", "blob", "edge")}
    limits = limits_of(Measured(**columns, features=rng.normal(5, 2, (40, 16))))
    path = tmp_path / "limits.toml"
    path.write_text(limits_text(limits, "ab" * 32))
    assert read_limits(path) == limits
    assert limits.noise_sigma is not None
    assert list(limits.noise_sigma) == sorted(limits.noise_sigma)
    assert limits.features is not None
    assert 1.0 < limits.features.limits[0] < limits.features.limits[1]


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


@pytest.mark.torch
def test_a_real_chest_passes_and_a_sharp_kernel_and_an_artefact_do_not(pipeline: CTDenoise) -> None:
    volume = load_volume(HELDOUT, with_labels=False)
    inside, outside = IN_DOMAIN["dose 1/4"], OUT_OF_DOMAIN["sharp kernel, dose 1/4"]
    stacks = noisy_stacks(volume, 30, (inside, outside))
    usual, _ = judge(pipeline, Trial("", stacks[inside]))
    assert set(usual.values()) == {Verdict.PASS}
    sharp, _ = judge(pipeline, Trial("", stacks[outside]))
    assert sharp["input grain"] is Verdict.FLAG
    edited, _ = judge(
        pipeline, Trial("", stacks[inside], lambda output: output + 40 * torch.sign(output - output.mean()))
    )
    assert Verdict.PASS is not max(edited.values(), key=[Verdict.PASS, Verdict.FLAG, Verdict.WITHHOLD].index)


@pytest.mark.torch
def test_noise_and_checkerboards_without_a_patient_fire(pipeline: CTDenoise) -> None:
    cases = run(pipeline, synthetic_trials(size=128))
    assert [case.slices for case in cases.values()] == [12, 12]
    assert all(case.fired == case.slices for case in cases.values())


@pytest.mark.torch
def test_a_head_is_read_from_an_invesalius_project(tmp_path: Path) -> None:
    facts = {"matrix": {"shape": [12, 32, 32]}, "spacing": [1.0, 1.0, 1.5]}
    (tmp_path / "main.plist").write_bytes(plistlib.dumps(facts))
    np.arange(12 * 32 * 32, dtype=np.int16).tofile(tmp_path / "matrix.dat")
    with tarfile.open(tmp_path / "head.inv3", "w:gz") as project:
        for name in ("main.plist", "matrix.dat"):
            project.add(tmp_path / name, arcname=f"folder/{name}")
    first, second = head_trials(tmp_path / "head.inv3", count=1)
    assert first.stack.shape == second.stack.shape == (1, 3, 32, 32)
    assert float(first.stack[0, 1, 0, 0]) == 5 * 32 * 32
    assert float((second.stack - first.stack).std()) > 1


def test_the_curve_counts_discs_by_contrast_to_noise() -> None:
    discs = [Planted(4.0, 60.0, cnr, True, cnr > 1.5) for cnr in (0.2, 1.2, 1.4, 1.7, 1.9, 2.2)]
    assert curve(discs, 4.0) == [("0 to 0.5", 1, 0.0), ("1 to 1.5", 2, 0.0), ("1.5 to 2", 2, 1.0), ("2 to 2.5", 1, 1.0)]
    assert curve(discs, 2.0) == []


def test_the_page_says_what_is_not_reached() -> None:
    cases = {name: Case(slices=20) for name in INSIDE}
    cases["half noticed"] = Case(slices=20, fired=10, withheld=5, by_guard=Counter({"features": 10}))
    cases["noticed"] = Case(slices=20, fired=20)
    discs = [
        Planted(radius, 60.0, 2.0, removed, noticed=True)
        for radius in (2.0, 3.0, 4.0, 6.0)
        for removed in (True, False)
    ]
    assert "| half noticed | 20 | 50% | 25% | features 50% |" in table(cases)
    text = page(cases, discs)
    assert "- half noticed: 50%." in text
    assert "- noticed" not in text
    assert "0 of 80 slices" in text


def test_a_pipeline_without_a_limits_file_is_broken_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.limits\.toml cannot be read"):
        read_limits(tmp_path / "gone.limits.toml")
    assert not GuardLimits().look_at_pixels
