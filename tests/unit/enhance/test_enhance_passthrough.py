"""Passthrough: bit for bit what pydicom decodes, for every kind of single-frame image; and running on a folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from dicomnode.complete.facts import combine, instance_facts
from dicomnode.domain.verdict import Verdict
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import PipelineUnknown
from dicomnode.enhance.folder_run import FolderResult, read_folder, run_folder
from dicomnode.enhance.registry import Registry
from dicomnode.enhance.runner import Engine

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

IMAGES = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "ExplVR_BigEnd.dcm",
    "image_dfl.dcm",
    "OBXXXX1A.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_expb_16bit.dcm",
    "SC_rgb_rle_16bit.dcm",
    "SC_rgb_rle_32bit.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "JPEG2000.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_RLE.dcm",
]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Registry.load(), "cpu", instance_facts=instance_facts)


def run(engine: Engine, decoder: Decoder, folder: Path, **options) -> list[FolderResult]:
    def series_facts(headers):
        return combine(instance_facts(header) for header in headers)

    return list(run_folder(engine, "passthrough", folder, {}, series_facts=series_facts, decoder=decoder, **options))


def copied(name: str, folder: Path) -> Path:
    path = get_testdata_file(name, download=False)
    assert path is not None, name
    return Path(shutil.copy(path, folder))


@pytest.mark.parametrize("name", IMAGES)
def test_pixels_are_those_of_pydicom(engine: Engine, decoder: Decoder, tmp_path: Path, name: str) -> None:
    expected = dcmread(copied(name, tmp_path)).pixel_array
    (result,) = run(engine, decoder, tmp_path)
    assert result.enhanced is not None, result.refusal
    (image,) = result.enhanced.slices
    assert image.units == "stored"
    assert image.pixels.dtype == expected.dtype.newbyteorder("=")
    assert np.array_equal(image.pixels, expected)
    assert result.enhanced.verdict is Verdict.PASS


def test_a_mixed_folder_gives_one_result_for_each_series(engine: Engine, decoder: Decoder, tmp_path: Path) -> None:
    for name in ("CT_small.dcm", "MR_small.dcm", "rtplan.dcm", "rtdose.dcm", "JPGExtended.dcm"):
        copied(name, tmp_path)
    copied("CT_small.dcm", tmp_path / "CT_small.dcm.copy")
    (tmp_path / "notes.txt").write_text("not DICOM")
    emitted: list[tuple[str, str]] = []
    results = run(
        engine, decoder, tmp_path, emit=lambda series, image: emitted.append((series.series_uid, image.units))
    )
    refusals = sorted(result.refusal for result in results if result.enhanced is None)
    assert refusals[0].startswith("image 5: the image cannot be decoded")
    assert refusals[1:] == ["the series holds multi-frame images only", "the series holds no images"]
    good = {result.series.series_uid for result in results if result.enhanced}
    assert {uid for uid, _ in emitted} == good
    assert len(emitted) == len(good) == 2


def test_files_are_grouped_by_series_with_their_paths(decoder: Decoder, tmp_path: Path) -> None:
    path = copied("CT_small.dcm", tmp_path)
    image = dcmread(path)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    (tmp_path / "inner").mkdir()
    image.save_as(tmp_path / "inner" / "second.dcm")
    (series,) = read_folder(tmp_path, decoder)
    assert series.files["1.2.3.4"] == tmp_path / "inner" / "second.dcm"
    assert len(series.sources) == 2
    assert all("PixelData" not in source.header for source in series.sources)


def test_what_concerns_the_pipeline_is_raised(engine: Engine, decoder: Decoder, tmp_path: Path) -> None:
    with pytest.raises(PipelineUnknown, match="no pipeline named nothing-like-it"):
        next(run_folder(engine, "nothing-like-it", tmp_path, {}, series_facts=combine, decoder=decoder))
