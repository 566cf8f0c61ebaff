"""The pattern guard: what repeats itself in the change is found, with its size and its period; noise is not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.guards.chain import apply_guards, guards_of
from dicomnode.enhance.guards.pattern import NAME, pattern, strongest
from dicomnode.enhance.limits import GuardLimits

pytestmark = pytest.mark.torch

BODY = -400.0
SIGMA = 25.0


def grain(seed: int, size: int = 256) -> torch.Tensor:
    white = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 0.7)
    return torch.from_numpy((white * SIGMA / white.std()).astype(np.float32))[None]


def body(size: int = 256) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")
    return torch.where(torch.hypot(row - size / 2, column - size / 2) < 0.42 * size, 40.0, -1000.0)[None]


def squares(period: int, size: int = 256) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(size) // period, torch.arange(size) // period, indexing="ij")
    return ((row + column) % 2 * 2.0 - 1)[None]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), height=st.integers(3, 90), width=st.integers(3, 90))
def test_the_noise_that_was_taken_away_has_no_peak(seed: int, height: int, width: int) -> None:
    source = grain(seed, 96)[:, :height, :width]
    assert float(strongest(source, 0.4 * source, None).excess) < 24, "e.g. 17 dB in 512 squared: the most of 131000"


@pytest.mark.parametrize("period", [1, 2, 4, 8, 16])
def test_faint_checkerboards_are_found_with_their_period(period: int) -> None:
    source = body() + grain(1)
    usual = float(strongest(source, body() + 0.4 * grain(1), BODY).excess)
    peak = strongest(source, body() + 0.4 * grain(1) + 8 * squares(period), BODY, above=usual + 5)
    assert float(peak.excess) > usual + 5
    assert float(peak.period) == pytest.approx(2 * period / math.sqrt(2), rel=0.01)
    wave = 8.0 if period == 1 else 8 * (2 / period / math.sin(math.pi / 2 / period)) ** 2 / 2
    assert float(peak.amplitude) == pytest.approx(wave, rel=0.25)


def test_the_amplitude_is_that_of_the_wave_in_physical_units() -> None:
    row = torch.arange(256.0)[:, None].expand(256, 256)
    wave = 6 * torch.cos(2 * math.pi * row / 8)[None]
    peak = strongest(body() + grain(2), body() + 0.4 * grain(2) + wave, BODY)
    assert float(peak.amplitude) == pytest.approx(6, rel=0.15)
    assert float(peak.period) == pytest.approx(8)


def test_the_change_alone_counts_and_air_does_not() -> None:
    source = body() + grain(3) + 50 * squares(2)
    assert float(strongest(source, source, BODY).excess) == pytest.approx(0, abs=0.01)
    assert float(strongest(source, source - 0.6 * grain(3), BODY).excess) < 22
    in_air = torch.from_numpy(ndimage.binary_erosion(body()[0] < BODY, iterations=8)) * squares(2)
    assert float(strongest(source, source - 0.6 * grain(3) + 30 * in_air, BODY).excess) < 22


def test_the_guard_flags_withholds_and_names_the_pattern() -> None:
    source = body() + grain(4)
    outputs = torch.cat([source - 0.6 * grain(4) + height * squares(4) for height in (0.0, 3.0, 12.0)])
    found, figures = pattern((20.0, 30.0), BODY)(source.expand(3, -1, -1), outputs)
    assert found is outputs
    assert [figure.verdict for figure in figures] == [Verdict.PASS, Verdict.FLAG, Verdict.WITHHOLD]
    assert "repeats every 5.7 px" in figures[2].reason
    assert figures[2].details["amplitude"] == pytest.approx(12 * (4 / math.pi) ** 2 / 2, rel=0.25)


@pytest.mark.parametrize(("strength", "names"), [(0.0, ["finite"]), (0.5, ["finite", NAME])])
def test_the_chain_has_it_where_there_is_a_change(strength: float, names: list[str]) -> None:
    source = body(64)
    guards = guards_of(GuardLimits(body_above=BODY, pattern=(24.0, 31.0)), strength=strength)
    _, (figures,) = apply_guards(guards, source, source)
    assert [figure.guard for figure in figures] == names
    assert {figure.verdict for figure in figures} == {Verdict.PASS}
