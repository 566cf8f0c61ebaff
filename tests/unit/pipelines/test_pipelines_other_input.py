"""What the evaluation puts in beside the held-out chest: another anatomy, another scanner's noise."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data import DataError
from pipelines.evaluate import head, scanned
from pipelines.evaluate.head import head_slices
from pipelines.simulate import scanner_bank
from pipelines.simulate.scanner import Scan
from pipelines.volume import Volume

SIZE = 96


@pytest.fixture
def cylinder() -> Volume:
    """Water in five slices of 96 x 96 pixels of 2.5 mm."""
    row, column = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * 2.5
    hu = np.where(np.hypot(row, column) < 90, 0.0, -1000.0).astype(np.float32)
    return Volume("cylinder", np.stack([hu] * 5), (5.0, 2.5, 2.5), (0.0, 0.0, 0.0))


def test_a_head_is_asked_for_by_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cranium\.inv3 is missing; run: python -m pipelines\.data --only ct-other"):
        head_slices(tmp_path)


def test_slices_of_a_head_are_noisy_between_noisy_neighbours(
    cylinder: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "load_volume", lambda name, data: cylinder)
    monkeypatch.setattr(head, "HEAD_SLICES", range(1, 4, 2))
    slices = head_slices(tmp_path)
    assert [one.name for one in slices] == ["cylinder 1", "cylinder 3"]
    for one in slices:
        noise = (one.noisy - cylinder.hu[:3])[:, one.inside]
        assert (noise.std(1) > 1).all()
        assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 0.2
        assert one.places


def test_held_out_slices_get_the_noise_of_the_scanner(
    cylinder: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def noise(hu: NDArray[np.float32], pixel_mm: float, scan: Scan, seed: int) -> NDArray[np.float32]:
        assert pixel_mm == 2.5
        return np.random.default_rng(seed).normal(0, scan.ma, hu.shape).astype(np.float32)

    monkeypatch.setattr(scanned, "load_volume", lambda name, data, with_labels: cylinder)
    monkeypatch.setattr(scanner_bank, "noise", noise)
    (one,) = scanned.scanned(tmp_path, tmp_path, Scan(ma=7.0), (2,))
    assert one.noisy.shape == (3, SIZE, SIZE)
    assert (one.noisy - cylinder.hu[1:4]).std() == pytest.approx(7.0, rel=0.05)
    assert np.array_equal(one.clean, cylinder.hu[2])
