"""Test noise from gecatsim: the real simulator on a small disc with few views."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.data import DataError
from pipelines.simulate import scanner, scanner_bank
from pipelines.simulate.scanner import BONE_FROM_HU, CORTICAL_BONE_HU, Scan, densities, image_and_noise, noise
from pipelines.simulate.scanner_bank import banked_noise, scanned_stack
from pipelines.volume import Volume

SIZE, PIXEL_MM = 64, 4.0
QUICK = Scan(ma=200.0, views=120, energies=6)


def radius(x_mm: float = 0.0, y_mm: float = 0.0) -> NDArray[np.float64]:
    """Distance of each pixel from a point, mm; (SIZE, SIZE)."""
    rows, columns = (np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2) * PIXEL_MM
    distance: NDArray[np.float64] = np.hypot(columns - x_mm, rows - y_mm)
    return distance


@pytest.fixture(scope="module")
def phantom() -> NDArray[np.float32]:
    """Water of 200 mm; 500 HU to the right of its centre, -500 HU below it."""
    hu = np.where(radius() < 100, 0.0, -1000.0)
    hu[radius(50, 0) < 16] = 500
    hu[radius(0, 50) < 16] = -500
    return hu.astype(np.float32)


@pytest.fixture(scope="module")
def scanned(
    phantom: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Image and noise of the phantom, scanned in an empty working directory in which nothing may be left."""
    directory = tmp_path_factory.mktemp("cwd")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        found = image_and_noise(phantom, PIXEL_MM, QUICK, seed=3)
    assert not list(directory.iterdir())
    return found


def test_the_image_is_the_phantom_turned_and_scaled_as_it_was(
    scanned: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    image, _ = scanned
    water = (radius() < 80) & (radius(50, 0) > 28) & (radius(0, 50) > 28)
    assert image[water].mean() == pytest.approx(0, abs=10)
    assert image[radius(50, 0) < 8].mean() == pytest.approx(500, abs=50)
    assert image[radius(0, 50) < 8].mean() == pytest.approx(-500, abs=50)


def test_the_noise_is_on_the_grid_without_bias_and_strongest_inside(
    scanned: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    _, noise_hu = scanned
    inside = radius() < 90
    assert noise_hu.shape == (SIZE, SIZE)
    assert noise_hu.dtype == np.float32
    assert 1 < noise_hu[inside].std() < 60
    assert abs(noise_hu[inside].mean()) < 3 * noise_hu[inside].std() / np.sqrt(inside.sum())
    assert noise_hu[inside].std() > noise_hu[radius() > 115].std()


def test_a_seed_gives_the_same_noise_and_another_seed_another(
    phantom: NDArray[np.float32],
    scanned: tuple[NDArray[np.float32], NDArray[np.float32]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    again = noise(phantom, PIXEL_MM, QUICK, seed=3)
    other = noise(phantom, PIXEL_MM, QUICK, seed=4)
    assert np.array_equal(again, scanned[1])
    inside = radius() < 90
    assert abs(np.corrcoef(again[inside], other[inside])[0, 1]) < 0.2
    assert capfd.readouterr() == ("", "")


def test_densities_are_water_and_then_bone() -> None:
    hu = np.array([[-1000, 0, BONE_FROM_HU, CORTICAL_BONE_HU, -1200]], np.float32)
    water, bone = densities(hu)
    assert water == pytest.approx(np.array([[0, 1, 1 + BONE_FROM_HU / 1000, 0, 0]]))
    assert bone == pytest.approx(np.array([[0, 0, 0, 1, 0]]))


def test_without_gecatsim_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"gecatsim is not installed; run: pip install 'dicomnode\[evaluate\]'"):
        noise(np.zeros((8, 8), np.float32), 1.0, QUICK, seed=0)


def test_a_scan_that_fails_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gecatsim could not scan the slice \(.*No such file.*job\.json"):
        scanner._child(tmp_path)


def test_the_slice_must_be_square() -> None:
    with pytest.raises(ValueError, match="square slice"):
        noise(np.zeros((8, 9), np.float32), 1.0, QUICK, seed=0)


def test_the_bank_scans_a_slice_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans: list[int] = []

    def scan(hu: NDArray[np.float32], _: float, __: Scan, seed: int) -> NDArray[np.float32]:
        scans.append(seed)
        return np.random.default_rng(seed).normal(0, 1, hu.shape).astype(np.float32)

    monkeypatch.setattr(scanner_bank, "noise", scan)
    volume = Volume("chest", np.zeros((3, 16, 16), np.float32), (5.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    stack = scanned_stack(volume, 1, QUICK, tmp_path)
    assert np.array_equal(stack[1], banked_noise(volume, 1, QUICK, tmp_path))
    assert len(scans) == 1
    assert stack.shape == (3, 16, 16)
    assert np.abs(np.corrcoef(stack.reshape(3, -1)) - np.eye(3)).max() < 0.3
    banked_noise(volume, 1, Scan(ma=100.0), tmp_path)
    assert len(scans) == 2
