"""The series in a folder as training may see them: what each slice is, where it lies, how to get its HU.

Identifying elements (Patient ID, UIDs) serve to group what is read and stay in this process' memory; nothing here
writes, and no reason names a patient, a UID, a date or a path.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.cli.models.instance import why_not
from dicomnode.complete.facts import Accumulator, instance_facts
from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import Envelope
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import SourceImage
from dicomnode.enhance.modality import modality_lut
from dicomnode.enhance.registry import Entry

_KEPT = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelRepresentation", "InstanceNumber", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "GantryDetectorTilt", "BodyPartExamined"),
)
"""What is kept of a header while the rest of the folder is read: an archive's whole headers would fill the memory."""
_UNREADABLE = (
    InvalidDicomError,
    AttributeError,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    KeyError,
    TypeError,
)


@dataclass
class Candidate:
    """One series: its slices that may be used, and why its other instances may not.

    `patient` tells patients apart and must not be written anywhere. `facts` and `slice_facts` are what the pipeline
    and its envelope are asked with.
    """

    patient: tuple[str, ...]
    facts: SeriesFacts
    slices: list[SourceImage] = field(default_factory=list)
    slice_facts: list[SeriesFacts] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Found:
    """The series of a folder in the order of its paths; `files` counts all files, `not_dicom` those passed over."""

    candidates: tuple[Candidate, ...]
    files: int
    not_dicom: int


def files_of(folder: Path) -> list[Path]:
    """Every file in the folder and below, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_candidates(
    folder: Path, entry: Entry, decoder: Decoder, report: Callable[[int, int], None] = lambda done, total: None
) -> Found:
    """Read the headers of every file in `folder`; `report` gets (files read, files). Files that are not DICOM count.

    Of several files with one SOP Instance UID the first by path counts.
    """
    paths = files_of(folder)
    series: dict[str, _Growing] = {}
    passed_over = 0
    for number, path in enumerate(paths, start=1):
        header = _header(path)
        if header is None:
            passed_over += 1
        else:
            growing = series.setdefault(str(header.SeriesInstanceUID), _Growing(_patient(header)))
            growing.add(path, header, entry, decoder)
        report(number, len(paths))
    return Found(tuple(one.candidate() for one in series.values()), len(paths), passed_over)


class _Growing:
    """A series while its files are read."""

    def __init__(self, patient: tuple[str, ...]) -> None:
        self._accumulator = Accumulator()
        self._seen: set[str] = set()
        self._candidate = Candidate(patient, SeriesFacts({}, {}))

    def add(self, path: Path, header: Dataset, entry: Entry, decoder: Decoder) -> None:
        uid = str(header.SOPInstanceUID)
        if uid in self._seen:
            return
        self._seen.add(uid)
        facts = instance_facts(header, transfer_syntax=str(header.file_meta.get("TransferSyntaxUID") or ""))
        self._accumulator.merge(facts)
        candidate = self._candidate
        reason = why_not(header) or entry.create().skips(facts)
        if reason:
            candidate.left_out[reason] += 1
            return
        kept = Dataset()
        for keyword in _KEPT:
            if keyword in header:
                kept[keyword] = header[keyword]
        candidate.slices.append(SourceImage(secrets.token_hex(8), kept, partial(hounsfield, path, decoder)))
        candidate.slice_facts.append(_asked_by(entry, facts))

    def candidate(self) -> Candidate:
        self._candidate.facts = self._accumulator.facts()
        return self._candidate


def hounsfield(path: Path, decoder: Decoder) -> NDArray[np.float32]:
    """(H, W) HU of one file. Raises CannotDecode with a sentence that does not name the file."""
    try:
        image = dcmread(path)
    except _UNREADABLE as error:
        raise CannotDecode("a file could be read once and not again") from error
    return modality_lut(image, decoder.decode(image))


def _asked_by(entry: Entry, facts: SeriesFacts) -> SeriesFacts:
    """Only what the envelope names: the whole facts of an archive's images would fill the memory."""
    envelope = entry.pipeline.envelope if entry.pipeline else Envelope()
    names = {*envelope.text, *envelope.number, *envelope.required}
    return SeriesFacts({name: facts.attributes[name] for name in names if name in facts.attributes}, {})


def _header(path: Path) -> Dataset | None:
    try:
        header = dcmread(path, stop_before_pixels=True)
        return header if header.SeriesInstanceUID and header.SOPInstanceUID and header.file_meta is not None else None
    except _UNREADABLE:
        return None


def _patient(header: Dataset) -> tuple[str, ...]:
    """Who this is, for telling patients apart: Patient ID and its issuer, else the study, else the series."""
    return next(_identities(header))


def _identities(header: Dataset) -> Iterator[tuple[str, ...]]:
    if number := str(header.get("PatientID") or "").strip():
        yield "patient", number, str(header.get("IssuerOfPatientID") or "").strip()
    if study := str(header.get("StudyInstanceUID") or "").strip():
        yield "study", study
    yield "series", str(header.SeriesInstanceUID)
