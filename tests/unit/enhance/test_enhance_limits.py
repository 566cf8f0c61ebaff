"""Limits that a rule moves within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dicomnode.enhance.api import GuardLimits, PipelineParams
from dicomnode.enhance.limits import FeatureReference, GuardFactors

LIMITS = GuardLimits(
    residual_sigmas=3.0,
    noise_sigma=(-1000.0, 4.0, 60.0, 80.0),
    blob_score=(1.0, 1.5),
    edge_correlation=(-0.1, 0.2),
    features=FeatureReference((0.0,), ((1.0,),), (2.0, 1000.0)),
)


class Params(PipelineParams):
    guards: GuardFactors = {}


def test_a_rule_moves_limits_inwards_and_outwards() -> None:
    stricter = LIMITS.adjusted(Params.model_validate({"guards": {"blob_score": 0.8, "noise_sigma": 1.25}}).guards)
    assert stricter.blob_score == pytest.approx((0.8, 1.2))
    assert stricter.noise_sigma == pytest.approx((-1250.0, 3.0, 75.0, 100.0))
    assert (stricter.edge_correlation, stricter.features) == (LIMITS.edge_correlation, LIMITS.features)
    wider = LIMITS.adjusted({"features": 1.5, "edge_correlation": 1.5})
    assert wider.features is not None
    assert (wider.features.limits, wider.features.mean) == ((3.0, 1500.0), (0.0,))
    assert wider.edge_correlation == pytest.approx((-0.05, 0.3)), "outwards below zero too"


def test_a_guard_that_is_off_stays_off_and_nothing_moves_without_a_factor() -> None:
    assert LIMITS.adjusted({"pattern": 0.7}).pattern is None
    assert LIMITS.adjusted({}) is LIMITS


@pytest.mark.parametrize("guards", [{"blob_score": 0.1}, {"blob_score": 3}, {"residual_sigmas": 1}, {"blobs": 1}])
def test_beyond_the_bounds_or_unknown_is_refused(guards: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Params.model_validate({"guards": guards})


@given(factor=st.floats(0.7, 1.5), other=st.floats(0.7, 1.5))
def test_a_larger_factor_never_makes_a_limit_tighter(factor: float, other: float) -> None:
    small, large = (LIMITS.adjusted({"noise_sigma": each}).noise_sigma for each in sorted((factor, other)))
    assert small is not None
    assert large is not None
    assert large[0] <= small[0]
    assert large[1] <= small[1]
    assert small[2] <= large[2]
    assert small[3] <= large[3]
