"""The channelised Hotelling observer, where its d' can be worked out by hand."""

import numpy as np
import pytest

from pipelines.evaluate.observer import CHANNELS, Responses, channels, detectability, spread
from pipelines.evaluate.task import REALISATIONS, SIGNALS, trials
from pipelines.simulate.ct_dose import QUARTER_DOSE_I0
from pipelines.volume import Volume


def responses(signal: np.ndarray, sigma: float, pairs: int = 4000, seed: int = 0) -> Responses:
    """White noise of `sigma` in every channel, another background at every fourth pair, eight slices."""
    rng = np.random.default_rng(seed)
    place = np.arange(pairs) // 4
    background = rng.normal(0, 100, (pairs, CHANNELS))[place]
    absent, noise = (rng.normal(0, sigma, (pairs, CHANNELS)) for _ in range(2))
    return Responses(background + absent, background + noise + signal, place, place * 8 // (place.max() + 1))


def test_channels_are_orthonormal() -> None:
    rows = channels(81, 9.0).reshape(CHANNELS, -1)
    assert rows @ rows.T == pytest.approx(np.eye(CHANNELS), abs=1e-3)


def test_the_observer_sees_as_much_as_the_ideal_one_where_the_signal_is_a_channel() -> None:
    """A signal of length s in white noise: d' is s over sigma, whatever the background."""
    found = detectability(responses(np.array([3.0, 0, 0, 0, 0]), sigma=2.0))
    assert found.value == pytest.approx(1.5, abs=0.06)
    assert found.interval[0] < 1.5 < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.3


def test_no_signal_is_not_seen_on_regions_that_taught_nothing() -> None:
    found = detectability(responses(np.zeros(CHANNELS), sigma=2.0, pairs=400))
    assert abs(found.value) < 0.15
    assert found.same >= found.value


def test_white_noise_in_an_image_gives_the_known_detectability() -> None:
    rng = np.random.default_rng(3)
    forms = channels(29, 6.0)
    signal = 4.0 * forms[0]
    noise = rng.normal(0, 5.0, (2, 600, 29, 29))
    absent, present = (np.tensordot(part, forms, ((1, 2), (1, 2))) for part in (noise[0], noise[1] + signal))
    place = np.arange(600) // 3
    found = detectability(Responses(absent, present, place, place % 6))
    assert found.value == pytest.approx(4.0 / 5.0, abs=0.12)


def test_a_blend_lies_between() -> None:
    before, after = responses(np.ones(CHANNELS), 2.0, 40), responses(np.zeros(CHANNELS), 1.0, 40, seed=1)
    half = before.blend(after, 0.5)
    assert half.absent == pytest.approx((before.absent + after.absent) / 2)
    assert before.blend(after, 0.0).present == pytest.approx(before.present)


def test_covariance_is_within_places() -> None:
    values = np.array([[1.0], [3.0], [101.0], [103.0]])
    deviations, covariance = spread(values, np.array([0, 0, 1, 1]))
    assert deviations.ravel().tolist() == [-1, 1, -1, 1]
    assert covariance[0, 0] == pytest.approx(2.0)  # four squares over two degrees of freedom


def test_every_place_sees_every_disc_as_often_and_the_noise_is_its_own() -> None:
    hu = np.full((3, 128, 128), 40.0, np.float32)
    found = list(trials(Volume("water", hu, (5.0, 0.7, 0.7), (0.0, 0.0, 0.0)), 1, QUARTER_DOSE_I0))
    assert len(found) == REALISATIONS
    for number in range(len(found[0].places)):
        kinds = [trial.signals[number] for trial in found]
        assert {kinds.count(kind) for kind in range(len(SIGNALS))} == {REALISATIONS // len(SIGNALS)}
    first, second = (trial.absent - hu for trial in found[:2])
    assert abs(np.corrcoef(first[1].ravel(), second[1].ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(first[0].ravel(), first[1].ravel())[0, 1]) < 0.05
    _, contrast = SIGNALS[found[0].signals[0]]
    added = found[0].present - found[0].absent
    assert added[1][found[0].places[0]] == pytest.approx(contrast, abs=0.01)
    assert not added[0].any()
