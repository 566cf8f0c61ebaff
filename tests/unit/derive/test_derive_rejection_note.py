"""Rejection notes: valid Key Object Selection documents of the same study, the same whenever they are made."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from support.derivations import file_of
from support.validators import dciodvfy, new_errors, new_warnings

from dicomnode.complete.manifest import listed_in, manifest_of, titles_of
from dicomnode.derive.rejection_note import RejectedSeries, rejection_note
from dicomnode.domain.provenance import is_derived_by_dicomnode
from dicomnode.domain.rejection import QUALITY, TITLES, Ground

AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
KEY, SERIES = "ab" * 32, "2.25.4711"


def note(header: Dataset, code: str = QUALITY, count: int = 3) -> bytes:
    instances = [(str(header.get("SOPClassUID", "1.2.840.10008.5.1.4.1.1.2")), f"2.25.{n}") for n in range(count)]
    series = RejectedSeries(KEY, SERIES, header, instances)
    return rejection_note(series, Ground(code, "its source came again as a conflict"), "DICOMNODE", AT).file


@pytest.mark.parametrize("code", TITLES)
@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "RG1_UNCI.dcm", "US1_UNCI.dcm"])
def test_no_validator_finds_a_fault(name: str, code: str, tmp_path: Path) -> None:
    source, path = file_of(name), tmp_path / "note.dcm"
    path.write_bytes(note(dcmread(source), code))
    assert new_errors([source], [path]) == []
    assert new_warnings([source], [path]) == []


def test_it_names_what_it_rejects_and_why(tmp_path: Path) -> None:
    path = tmp_path / "note.dcm"
    header = dcmread(file_of("CT_small.dcm"))
    path.write_bytes(note(header))
    found = dcmread(path)
    assert titles_of(found) == {QUALITY}
    assert listed_in(found) == {SERIES: {"2.25.0", "2.25.1", "2.25.2"}}
    assert manifest_of(found) is None, "a rejection says nothing of completeness"
    assert (found.StudyInstanceUID, found.PatientID) == (header.StudyInstanceUID, header.PatientID)
    assert found.Modality == "KO"
    assert found.SeriesInstanceUID not in (header.SeriesInstanceUID, SERIES)
    assert is_derived_by_dicomnode(found)
    referenced = [item.ReferencedSOPSequence[0] for item in found.ContentSequence if item.ValueType == "IMAGE"]
    assert {str(item.ReferencedSOPInstanceUID) for item in referenced} == {"2.25.0", "2.25.1", "2.25.2"}


def test_its_uids_follow_from_the_work_and_the_title() -> None:
    header = dcmread(file_of("CT_small.dcm"))
    series = RejectedSeries(KEY, SERIES, header, [("1.2.840.10008.5.1.4.1.1.2", "2.25.1")])
    first, again, other = (
        rejection_note(series, Ground(code, words), "DICOMNODE", AT)
        for code, words in ((QUALITY, "once"), (QUALITY, "in other words"), ("113037", "once"))
    )
    assert first.sop_uid == again.sop_uid != other.sop_uid


def test_what_sql_still_knows_of_the_patient_is_enough(tmp_path: Path) -> None:
    header = Dataset()
    header.PatientName, header.PatientID = "Old^Patient", "4711"
    header.StudyInstanceUID, header.StudyDate, header.AccessionNumber = "1.2.3", "20260501", ""
    path = tmp_path / "note.dcm"
    path.write_bytes(note(header))
    assert [line for line in dciodvfy(path) if line.startswith("Error")] == []
    assert dcmread(path).PatientName == "Old^Patient"


@pytest.mark.parametrize(("offset", "time"), [("+0200", "143000"), ("-0930", "030000")])
def test_its_times_are_in_the_offset_of_the_series(offset: str, time: str, tmp_path: Path) -> None:
    header = dcmread(file_of("CT_small.dcm"))
    header.TimezoneOffsetFromUTC = offset
    path = tmp_path / "note.dcm"
    path.write_bytes(note(header))
    found = dcmread(path)
    assert (found.TimezoneOffsetFromUTC, found.ContentTime) == (offset, time)


def test_a_long_series_is_one_note(tmp_path: Path) -> None:
    path = tmp_path / "note.dcm"
    path.write_bytes(note(dcmread(file_of("CT_small.dcm")), count=400))
    assert len(listed_in(dcmread(path))[SERIES]) == 400
