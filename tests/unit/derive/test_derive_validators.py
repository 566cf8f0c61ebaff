"""Real files through the writer, judged by dciodvfy and dcentvfy: nothing that the source lacks may be added."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID
from support.derivations import derivation_for, derive_again, file_of, pixels_of
from support.validators import new_entity_findings, new_errors, new_warnings

from dicomnode.derive import derive_instance

SOURCES = [
    *("CT_small.dcm", "693_UNCR.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "explicit_VR-UN.dcm"),
    *("MR_small.dcm", "MR_small_RLE.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_jp2klossless.dcm"),
    *("MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR2_J2KI.dcm", "MR-SIEMENS-DICOM-WithOverlays.dcm"),
    *("RG1_UNCI.dcm", "RG3_J2KI.dcm", "US1_UNCI.dcm", "US1_J2KR.dcm", "examples_rgb_color.dcm"),
    *("examples_palette.dcm", "examples_jpeg2k.dcm", "gdcm-US-ALOKA-16.dcm", "ExplVR_BigEnd.dcm"),
    *("JPGLosslessP14SV1_1s_1f_8b.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_small_odd_jpeg.dcm"),
]
PROFILES: dict[str, dict[str, Any]] = {
    "plain": {},
    "scanner kept": {"keep_scanner_equipment": True, "image_type_value_2": "PRIMARY"},
    "secondary capture": {"sop_class": "secondary-capture"},
}
NO_PLACE_FOR_PALETTE = "gdcm-US-ALOKA-16.dcm"


def assert_clean(source: Path, derived: Path) -> None:
    assert new_errors([source], [derived]) == []
    assert new_warnings([source], [derived]) == []
    assert new_entity_findings([source], [derived]) == []


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("name", SOURCES)
def test_derived_adds_no_fault(name: str, profile: str, tmp_path: Path) -> None:
    if profile == "secondary capture" and name == NO_PLACE_FOR_PALETTE:
        name = "examples_palette.dcm"
    derived = tmp_path / "derived.dcm"
    derived.write_bytes(derive_again(dcmread(file_of(name)), PROFILES[profile], flag_reason="noise").file_bytes)
    assert_clean(file_of(name), derived)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "RG3_J2KI.dcm", "US1_UNCI.dcm"])
def test_new_grid_adds_no_fault(name: str, tmp_path: Path) -> None:
    source = dcmread(file_of(name))
    pixels = pixels_of(source)
    finer = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    derivation = derivation_for(source, same_grid=False)
    derived = tmp_path / "derived.dcm"
    made = derive_instance(source, finer, derivation, units="stored", source_pixels=pixels)
    derived.write_bytes(made.file_bytes)
    assert_clean(file_of(name), derived)


def test_a_series_of_several_sources_is_consistent(tmp_path: Path) -> None:
    source = dcmread(file_of("CT_small.dcm"))
    derivation = derivation_for(source)
    sources, derived = [], []
    for number in range(3):
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number + 1}")
        source.InstanceNumber = number + 1
        source.ImagePositionPatient[2] = -75.0 + 5 * number
        source.save_as(path := tmp_path / f"source{number}.dcm")
        sources.append(path)
        pixels = pixels_of(source)
        made = derive_instance(source, pixels, derivation, units="stored", source_pixels=pixels)
        (path := tmp_path / f"derived{number}.dcm").write_bytes(made.file_bytes)
        derived.append(path)
    assert new_errors(sources, derived) == []
    assert new_entity_findings(sources, derived) == []
