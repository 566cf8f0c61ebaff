"""What of a folder may be trained from, and why the rest may not."""

import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from support.series import make_mixed_study, make_mr_series
from support.site import real_series, site_series

from dicomnode.cli.models.candidates import read_candidates
from dicomnode.cli.models.instance import why_not
from dicomnode.cli.models.judging import Judged, judge, tried
from dicomnode.cli.models.survey import survey
from dicomnode.cli.models.unspoken import unspoken
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.registry import Entry, Registry


@pytest.fixture(scope="module")
def entry() -> Entry:
    return Registry.load(entry_points=False).usable("ct-denoise")


def judged(folder: Path, entry: Entry) -> Judged:
    with Decoder() as decoder:
        return tried(judge(read_candidates(folder, entry, decoder), entry))


CHANGES: dict[str, Callable[[Dataset], None]] = {
    "not CT": lambda d: setattr(d, "Modality", "MR"),
    "a localizer": lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "LOCALIZER"]),
    "derived or secondary: not what the scanner reconstructed": lambda d: setattr(
        d, "ImageType", ["DERIVED", "PRIMARY"]
    ),
    "multi-frame": lambda d: setattr(d, "NumberOfFrames", 3),
    "colour": lambda d: setattr(d, "SamplesPerPixel", 3),
    "burned-in annotation: its pixels may name the patient": lambda d: setattr(d, "BurnedInAnnotation", "YES"),
    "a head: its surface shows a face": lambda d: setattr(d, "BodyPartExamined", "HEAD"),
    "compressed with loss": lambda d: setattr(d, "LossyImageCompression", "01"),
    "no Rescale Slope and Intercept to HU": lambda d: setattr(d, "RescaleType", "US"),
    "no Pixel Spacing": lambda d: delattr(d, "PixelSpacing"),
    "not square, or pixels that are not": lambda d: setattr(d, "PixelSpacing", [0.7, 0.9]),
    "no Image Position or Image Orientation": lambda d: delattr(d, "ImagePositionPatient"),
    "not an image": lambda d: delattr(d, "Rows"),
}


@pytest.mark.parametrize("reason", CHANGES)
def test_an_image_is_left_out_for_its_reason(reason: str) -> None:
    header = dcmread(get_testdata_file("CT_small.dcm", download=False), stop_before_pixels=True)
    assert why_not(header) is None
    CHANGES[reason](header)
    assert why_not(header) == reason


@pytest.mark.parametrize(
    ("keyword", "text", "head"),
    [
        ("StudyDescription", "CT Brain w/o contrast", True),
        ("ProtocolName", "HEAD_ROUTINE", True),
        ("SeriesDescription", "Kopf nativ", True),
        ("BodyPartExamined", "HEADNECK", True),
        ("StudyDescription", "Thorax, ahead of surgery", False),
    ],
)
def test_a_head_is_known_by_any_of_its_words(keyword: str, text: str, head: bool) -> None:
    header = dcmread(get_testdata_file("CT_small.dcm", download=False), stop_before_pixels=True)
    setattr(header, keyword, text)
    assert why_not(header) == ("a head: its surface shows a face" if head else None)


def test_a_broken_element_is_a_reason_and_no_crash() -> None:
    header = dcmread(get_testdata_file("CT_small.dcm", download=False), stop_before_pixels=True)
    header.PixelSpacing = ["0.7", "0.7"]
    header["PixelSpacing"]._value = ["wide", "wide"]
    assert why_not(header) == "its header cannot be read"


def test_good_series_become_volumes_of_their_patients(tmp_path: Path, entry: Entry) -> None:
    for seed in (1, 2):
        site_series(tmp_path / str(seed), seed)
    real_series(tmp_path / "real")
    (tmp_path / "notes.txt").write_text("not DICOM")
    found = judged(tmp_path, entry)
    assert len({volume.patient for volume in found.volumes}) == 3
    assert sorted(volume.spacing[0] for volume in found.volumes) == pytest.approx([2.5, 2.5, 5.0])
    assert not found.series_left_out
    assert found.volumes[0].slices[0].load().min() < -500


def test_the_same_files_twice_count_once(tmp_path: Path, entry: Entry) -> None:
    for path in site_series(tmp_path / "a", 1):
        shutil.copy(path, tmp_path / f"again-{path.name}")
    (volume,) = judged(tmp_path, entry).volumes
    assert len(volume.slices) == 9


def tilted(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0.9703", "-0.2419"]


def sheared(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = ["-50", f"{-50 + index}", f"{2.5 * index}"]


def coronal(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    dataset.ImagePositionPatient = ["-50", f"{2.5 * index}", "0"]


def with_a_gap(dataset: Dataset, index: int) -> None:
    dataset.ImagePositionPatient = ["-50", "-50", f"{2.5 * index + (index > 4) * 2.5}"]


def noise_without_air(dataset: Dataset, index: int) -> None:
    dataset.RescaleIntercept = "3000"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (tilted, "the gantry was tilted"),
        (lambda d, i: setattr(d, "GantryDetectorTilt", "12"), "the gantry was tilted"),
        (sheared, "the slices are shifted against each other, as with a tilted gantry"),
        (coronal, "not axial"),
        (with_a_gap, "the slices are not evenly spaced"),
        (lambda d, i: setattr(d, "PixelSpacing", [0.8 + 0.01 * (i == 3)] * 2), "its images differ in Pixel Spacing"),
        (lambda d, i: setattr(d, "KVP", "40"), "KVP is 40"),
        (lambda d, i: setattr(d, "PixelData", b"\0\0"), "the pixel data cannot be read"),
    ],
)
def test_a_series_is_left_out_for_its_reason(
    tmp_path: Path, entry: Entry, change: Callable[[Dataset, int], None], reason: str
) -> None:
    site_series(tmp_path, 1, change=change)
    found = judged(tmp_path, entry)
    assert not found.volumes
    (told,) = found.series_left_out
    assert told.startswith(reason)


def test_one_slice_and_other_modalities(tmp_path: Path, entry: Entry) -> None:
    site_series(tmp_path / "one", 1, n=1)
    site_series(tmp_path / "few", 2, n=5)
    make_mr_series(tmp_path / "mr", 3, rows=64)
    shutil.copy(get_testdata_file("examples_rgb_color.dcm", download=False), tmp_path / "colour.dcm")
    found = judged(tmp_path, entry)
    assert not found.volumes
    few = "fewer than 8 slices"
    small = {
        reason for reason in found.series_left_out if reason.startswith(("ct-denoise does not take it: 1 slices", few))
    }
    assert len(small) == 2
    assert found.series_left_out["no image of it can be used: not CT"] == 2


def test_reasons_and_survey_name_nobody(tmp_path: Path, entry: Entry) -> None:
    paths = make_mixed_study(tmp_path / "mixed", n=9, seed=5)
    site_series(tmp_path / "good", 6)
    with Decoder() as decoder:
        found = read_candidates(tmp_path, entry, decoder)
        document = survey(found, judge(found, entry))
    told = repr(document)
    header = dcmread(paths["ct"][0], stop_before_pixels=True)
    for secret in (header.PatientID, str(header.PatientName), header.StudyInstanceUID, "20250301", str(tmp_path)):
        assert secret not in told
    assert document["volumes"] == 1
    assert Counter(row["what"] for row in document["left_out"])["series"] >= 3


def test_reading_repeats_no_broken_value(
    tmp_path: Path, entry: Entry, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(get_testdata_file("bad_sequence.dcm", download=False), tmp_path / "x.dcm")
    with unspoken(), warnings.catch_warnings(record=True) as heard, Decoder() as decoder:
        judge(read_candidates(tmp_path, entry, decoder), entry)
    assert not heard
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_real_files_are_judged_without_a_crash(tmp_path: Path, entry: Entry) -> None:
    for name in (
        "CT_small.dcm",
        "693_UNCR.dcm",
        "693_UNCI.dcm",
        "explicit_VR-UN.dcm",
        "bad_sequence.dcm",
        "rtplan.dcm",
    ):
        if path := get_testdata_file(name, download=False):
            shutil.copy(path, tmp_path / name)
    found = judged(tmp_path, entry)
    assert not found.volumes
    assert found.series_left_out
