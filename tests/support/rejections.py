"""Key Object Selection documents that reject instances, as a change requester makes them (IHE Radiology IOCM)."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage, generate_uid

QUALITY, SAFETY = "113001", "113037"


def rejection_of(files: Sequence[Path], path: Path, title: str = QUALITY) -> Path:
    """A note at `path` that rejects these instances of one series."""
    first = dcmread(files[0], stop_before_pixels=True)
    note = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(note, keyword, first.get(keyword, ""))
    note.SOPClassUID, note.SOPInstanceUID = KeyObjectSelectionDocumentStorage, generate_uid(entropy_srcs=[str(path)])
    note.SeriesInstanceUID = generate_uid(entropy_srcs=[str(path), "series"])
    note.Modality, note.SeriesNumber, note.InstanceNumber, note.ValueType = "KO", 901, 1, "CONTAINER"
    note.ConceptNameCodeSequence = [Dataset()]
    (code,) = note.ConceptNameCodeSequence
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = title, "DCM", "a title"
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = first.SeriesInstanceUID, []
    for file in files:
        series.ReferencedSOPSequence.append(item := Dataset())
        item.ReferencedSOPClassUID = first.SOPClassUID
        item.ReferencedSOPInstanceUID = dcmread(file, stop_before_pixels=True).SOPInstanceUID
    study.StudyInstanceUID, study.ReferencedSeriesSequence = first.StudyInstanceUID, [series]
    note.CurrentRequestedProcedureEvidenceSequence = [study]
    note.ensure_file_meta()
    note.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    note.save_as(path, enforce_file_format=True)
    return path
