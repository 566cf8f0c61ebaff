"""The series the demo sends: the volume's geometry and HU, an invented patient, and nothing a validator dislikes."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from support.validators import dciodvfy

from dicomnode.cli.common import CommandFailed
from dicomnode.cli.demo.source import make_source, read_source

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A small volume of 9 slices, its outlined tumour largest in slice 6, written as a slab of 5."""
    from pipelines.data import sources
    from pipelines.demo_series import VOLUME, choose_slab, write
    from pipelines.volume import Volume

    rows, columns = np.mgrid[:64, :64] - 31.5
    body = np.where(np.hypot(rows, columns) < 24, 40.0, -1000.0)
    hu = np.stack([body + z for z in range(9)]).astype(np.float32)
    labels = np.zeros(hu.shape, np.int16)
    labels[5, 20:24, 20:24] = labels[6, 20:26, 20:26] = 1
    volume = Volume(VOLUME, hu, (5.0, 0.75, 0.75), (-24.0, -30.0, 100.0), labels)
    folder = tmp_path_factory.mktemp("series")
    slab = choose_slab(volume, 5)
    assert (slab.first, slab.last, slab.shown) == (4, 8, 6)
    write(volume, sources()[VOLUME], slab, folder)
    return folder, hu


def test_geometry_and_hu_are_the_volumes_from_head_to_feet(written: tuple[Path, np.ndarray]) -> None:
    folder, hu = written
    for number, path in enumerate(read_source(folder).full_dose, start=1):
        dataset = dcmread(path)
        z = 9 - number
        assert dataset.InstanceNumber == number
        assert dataset.ImagePositionPatient == [-24, -30, 100 + 5 * z]
        assert (dataset.PixelSpacing, dataset.SliceThickness) == ([0.75, 0.75], 5)
        assert np.array_equal(dataset.pixel_array, hu[z])
        assert (dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType) == (0, 1, "HU")


def test_the_sent_series_differs_by_noise_alone_and_says_what_it_is(written: tuple[Path, np.ndarray]) -> None:
    source = read_source(written[0])
    for low_path, full_path in zip(source.sent, source.full_dose, strict=True):
        low, full = dcmread(low_path), dcmread(full_path)
        assert low.SyntheticData == "YES"
        assert low.PatientName == "DEMO^PATIENT"
        assert "low dose" in low.SeriesDescription
        assert low.ImagesInAcquisition == 5
        assert (low.StudyInstanceUID, low.FrameOfReferenceUID) == (full.StudyInstanceUID, full.FrameOfReferenceUID)
        assert low.SeriesInstanceUID == source.series_uid != full.SeriesInstanceUID
        added = low.pixel_array.astype(float) - full.pixel_array
        assert 0.5 < added[24:40, 24:40].std() < 100
        assert abs(added[24:40, 24:40].mean()) < 5


def test_the_slice_worth_looking_at_is_that_of_the_tumour(written: tuple[Path, np.ndarray]) -> None:
    source = read_source(written[0])
    assert dcmread(source.sent[int(source.about["shown_number"]) - 1]).SOPInstanceUID == source.shown
    assert dcmread(source.shown_full_dose).ImagePositionPatient[2] == 100 + 5 * 6
    assert "5 of the 9 slices of a real chest CT" in source.words()
    assert json.loads((written[0] / "series.json").read_text())["licence"] == "BSD-3-Clause"


def test_a_validator_finds_no_error(written: tuple[Path, np.ndarray]) -> None:
    for path in read_source(written[0]).sent:
        assert [line for line in dciodvfy(path) if line.startswith("Error")] == []


def test_the_same_series_is_written_again_with_the_same_bytes(written: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    from pipelines.data import sources
    from pipelines.demo_series import VOLUME, Slab, write
    from pipelines.volume import Volume

    volume = Volume(VOLUME, written[1], (5.0, 0.75, 0.75), (-24.0, -30.0, 100.0))
    write(volume, sources()[VOLUME], Slab(4, 8, 6), tmp_path)
    again, before = read_source(tmp_path), read_source(written[0])
    assert [path.read_bytes() for path in again.sent] == [path.read_bytes() for path in before.sent]


def test_a_failure_is_told_in_the_writers_own_words(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lung2_image.nrrd").write_text("no volume")
    with pytest.raises(CommandFailed, match="is not the pinned file"):
        make_source(tmp_path / "series", 5, tmp_path / "data", lambda done: None)
