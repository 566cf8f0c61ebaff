"""The phantom of gecatsim, measured where the answer is known: white noise, and methods that do something plain."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.evaluate import phantom
from pipelines.evaluate.phantom import DRAWS, RODS, SIZE, Figures, PhantomFound, Realisation, measured, places, rod
from pipelines.simulate.lesions import disc
from pipelines.simulate.scanner import Scan
from pipelines.volume import Volume

SIGMA = 20.0
Pairs = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


@pytest.fixture(scope="module")
def rods() -> NDArray[np.float32]:
    """The rods alone, HU."""
    image = np.zeros((SIZE, SIZE), np.float32)
    for number, place in enumerate(places()):
        radius, contrast = rod(number)
        image += np.float32(contrast) * disc(image.shape, place, radius)
    return image


@pytest.fixture(scope="module")
def pairs(rods: NDArray[np.float32]) -> Pairs:
    """Eight images in white noise, without and with the rods."""
    rng = np.random.default_rng(0)
    noise = [rng.normal(0, SIGMA, rods.shape).astype(np.float32) for _ in range(8)]
    return [(one, one + rods) for one in noise]


def test_every_rod_stands_in_the_body_at_several_places() -> None:
    assert len(places()) >= 6 * len(RODS)
    assert all(29 < at < SIZE - 29 for place in places() for at in place)


def test_what_is_left_alone_keeps_its_contrast_and_its_noise(rods: NDArray[np.float32], pairs: Pairs) -> None:
    found = measured(pairs, rods)
    assert found.kept == pytest.approx([1.0] * len(RODS), rel=1e-3)
    assert found.noise == pytest.approx(SIGMA, rel=0.03)


def test_the_observer_sees_rods_in_white_noise_as_well_as_can_be_worked_out(
    rods: NDArray[np.float32], pairs: Pairs
) -> None:
    """The ideal observer's d' is the length of the signal over sigma; channels lose a little of it."""
    found = measured(pairs, rods)
    for kind, (radius, contrast) in enumerate(RODS):
        ideal = contrast * np.linalg.norm(disc((65, 65), (32, 32), radius)) / SIGMA
        assert 0.7 * ideal < found.detected[kind] < 1.2 * ideal


def test_what_halves_everything_keeps_half_and_is_seen_as_well(rods: NDArray[np.float32], pairs: Pairs) -> None:
    half = np.float32(0.5)
    halved: Pairs = [(half * absent, half * present) for absent, present in pairs]
    found, before = measured(halved, rods), measured(pairs, rods)
    assert found.kept == pytest.approx([0.5] * len(RODS), rel=1e-3)
    assert found.detected == pytest.approx(before.detected, rel=1e-3)


def test_realisations_share_their_noise_and_differ_by_the_rods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def image(volume: Volume, z: int, scan: Scan, training: Path) -> NDArray[np.float32]:
        shown: NDArray[np.float32] = volume.hu[z]
        return shown

    def noise(volume: Volume, z: int, scan: Scan, training: Path, draw: int) -> NDArray[np.float32]:
        assert z == 0
        drawn: NDArray[np.float32] = np.random.default_rng(draw).normal(0, SIGMA, (SIZE, SIZE)).astype(np.float32)
        return drawn

    monkeypatch.setattr(phantom, "banked_image", image)
    monkeypatch.setattr(phantom, "banked_noise", noise)
    found: list[Realisation] = list(phantom.realisations(Scan(), tmp_path))
    assert len(found) == 2 * DRAWS
    for one in found:
        assert np.abs(one.present[0] - one.absent[0] - (one.present[2] - one.absent[2])).max() < 1e-3
        assert (one.present - one.absent).max() == pytest.approx(60, abs=1)
    assert len({float(one.absent[1, 0, 0]) for one in found}) == len(found)


def test_the_page_has_a_row_for_each_method_at_each_dose() -> None:
    figures = Figures(30.0, 0.2, [1.0] * len(RODS), [1.5] * len(RODS))
    found = PhantomFound({"quarter dose": {"input": figures, "NLM": figures}}, 65)
    text = found.markdown()
    assert text.count("| NLM |") == 2
    assert "At quarter dose" in text
