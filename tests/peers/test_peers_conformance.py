"""Real files through the whole node: what comes out of the PACS adds no fault, and differs only where it should."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels.utils import pixel_array
from pydicom.sr.codedict import codes
from support.derivations import file_of
from support.mainflow import (
    ANNOUNCED,
    derived_of,
    destination,
    enhancing,
    send_as_is,
    site,
    wait_sent,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.series import make_ct_series
from support.validators import new_entity_findings, new_errors, new_warnings

from dicomnode.derive import changes

pytestmark = pytest.mark.peers

LOSSY = "693_J2KI.dcm"
FILES = ["CT_small.dcm", "MR_small.dcm", "RG1_UNCI.dcm", "US1_UNCI.dcm", LOSSY]
DENOISED = "through ct-denoise"
KINDS = [*FILES, DENOISED]
SINGLE = "SINGLE"
"""Who sends series of one instance, which announce nothing."""
UNCHANGED = (
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription"),
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "FrameOfReferenceUID", "Modality"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "InstanceNumber"),
    *("AcquisitionNumber", "RescaleIntercept", "RescaleSlope", "PixelPaddingValue", "BodyPartExamined"),
)


@dataclass
class Pair:
    """Sources of one series and what Orthanc held of their derived series, in the same order."""

    sources: list[Path]
    derived: list[Path]

    def __iter__(self) -> Iterator[tuple[Dataset, Dataset]]:
        return iter([(dcmread(a), dcmread(b)) for a, b in zip(self.sources, self.derived, strict=True)])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    """All of them went through one node and were read back from Orthanc."""
    root = tmp_path_factory.mktemp("conformance")
    sources = {name: [file_of(name)] for name in FILES}
    sources[DENOISED] = make_ct_series(root / "ct", 4, rows=512, description=DENOISED, images_in_acquisition=True)
    denoised = {"attribute": "SeriesDescription", "equals": DENOISED}
    rules = [enhancing("ct-denoise", when=denoised), enhancing("passthrough", when={"not": denoised})]
    with Orthanc(root / "orthanc") as orthanc:
        pacs = destination("pacs", orthanc.ae_title, orthanc.dicom_port)
        completion = {**ANNOUNCED, "per_sender": {SINGLE: 1.0}}
        with Node(root / "node", site_yaml=site([pacs], rules), completion=completion) as node:
            for files in sources.values():
                send_as_is(node, files, SINGLE if len(files) == 1 else "MODALITY")
            wait_sent(node, len(sources))
        yield {name: Pair(files, derived_of(orthanc, files, root / name)) for name, files in sources.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_validators_find_no_new_fault(pairs: dict[str, Pair], kind: str) -> None:
    pair = pairs[kind]
    assert new_errors(pair.sources, pair.derived) == []
    assert new_warnings(pair.sources, pair.derived) == []
    assert new_entity_findings(pair.sources, pair.derived) == []


@pytest.mark.parametrize("kind", KINDS)
def test_derived_new_and_where_it_comes_from(pairs: dict[str, Pair], kind: str) -> None:
    referenced = set()
    for source, result in pairs[kind]:
        assert result.ImageType[0] == "DERIVED"
        assert list(result.ImageType[2:]) == list(source.ImageType[2:])
        assert result.SOPInstanceUID != source.SOPInstanceUID
        assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID
        assert result.SeriesInstanceUID != source.SeriesInstanceUID
        assert result.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert result.SourceImageSequence[0].ReferencedSOPClassUID == source.SOPClassUID
        referenced |= {item.ReferencedSOPInstanceUID for item in result.SourceImageSequence}
        assert set(in_study(result)) == {item.ReferencedSOPInstanceUID for item in result.SourceImageSequence}
        assert result.ContentQualification == "RESEARCH"
        assert result.ContributingEquipmentSequence[-1].Manufacturer == "dicomnode"
    assert referenced == {source.SOPInstanceUID for source, _ in pairs[kind]}
    assert len({result.SeriesInstanceUID for _, result in pairs[kind]}) == 1


def in_study(result: Dataset) -> list[str]:
    (series,) = result.ReferencedSeriesSequence
    return [item.ReferencedSOPInstanceUID for item in series.ReferencedInstanceSequence]


@pytest.mark.parametrize("kind", KINDS)
def test_study_patient_and_place_are_unchanged(pairs: dict[str, Pair], kind: str) -> None:
    for source, result in pairs[kind]:
        assert {name: result.get(name) for name in UNCHANGED} == {name: source.get(name) for name in UNCHANGED}


@pytest.mark.parametrize("kind", KINDS)
def test_the_difference_lies_in_the_table(pairs: dict[str, Pair], kind: str) -> None:
    for source, result in pairs[kind]:
        for dataset in (source, result):
            dataset.remove_private_tags()
        gone = {source[tag].keyword for tag in source.keys() - result.keys() if tag.element != 0}
        other = {element.keyword for element in result if source.get(element.tag) != element}
        assert gone <= changes.DROPPED.keys() | changes.SCANNER_EQUIPMENT.keys()
        assert other <= changes.WRITTEN.keys() | changes.APPENDED.keys()


@pytest.mark.parametrize("name", FILES)
def test_passthrough_keeps_every_pixel(pairs: dict[str, Pair], name: str) -> None:
    (source,), (result,) = pairs[name].sources, pairs[name].derived
    assert np.array_equal(pixel_array(result), pixel_array(source))


def test_once_lossy_always_lossy(pairs: dict[str, Pair]) -> None:
    ((_, result),) = pairs[LOSSY]
    assert result.LossyImageCompression == "01"
    assert result.LossyImageCompressionMethod == "ISO_15444_1"
    assert float(result.LossyImageCompressionRatio) > 1
    assert not result.file_meta.TransferSyntaxUID.is_compressed


def test_what_the_network_did_is_said_in_words_and_codes(pairs: dict[str, Pair]) -> None:
    for source, result in pairs[DENOISED]:
        assert result.SeriesDescription == f"{source.SeriesDescription} [AI denoise]"
        assert "ct-denoise 1.1.0 (deep learning, weights sha256 " in result.DerivationDescription
        said = [(item.CodeValue, item.CodingSchemeDesignator) for item in result.DerivationCodeSequence]
        assert said == [("113087", "DCM"), ("DENOISE", "99DICOMNODE")]
        purposes = {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in result.SourceImageSequence}
        assert purposes == {codes.DCM.SourceImageForImageProcessingOperation.value}
        declared = {item.CodingSchemeDesignator for item in result.CodingSchemeIdentificationSequence}
        assert "99DICOMNODE" in declared
