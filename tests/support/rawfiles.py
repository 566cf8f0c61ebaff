"""DICOM files as what goes over the wire: their data set's bytes, untouched, and the UIDs a sender would name."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.domain.instance import Receipt
from dicomnode.store.part10 import fingerprint


@dataclass(frozen=True)
class RawFile:
    """One file: `data_set` is everything behind its file meta information, byte by byte."""

    path: Path
    sop_class: str
    sop_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax: str
    data_set: bytes

    def receipt(self, **changed: str) -> Receipt:
        """What a receiver would attest about it."""
        attested = {
            "sop_class_uid": self.sop_class,
            "sop_instance_uid": self.sop_uid,
            "study_uid": self.study_uid,
            "series_uid": self.series_uid,
            "transfer_syntax_uid": self.transfer_syntax,
            "sha256": fingerprint(self.data_set, self.transfer_syntax),
            "calling_aet": "MODALITY",
            "called_aet": "DICOMNODE",
            "peer": "127.0.0.1",
            "association": "00-1",
            "received_at": "2026-01-01T00:00:00.000+00:00",
        }
        return Receipt(length=len(self.data_set), **(attested | changed))


def raw_file(path: Path) -> RawFile:
    """Take a file apart. Raises what pydicom raises for a file that it cannot read."""
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read_preamble(stream, force=True)
        meta = _read_file_meta_info(stream)
        begin = stream.tell()
        header = dcmread(path, stop_before_pixels=True, force=True)
    return RawFile(
        path=path,
        sop_class=str(header.get("SOPClassUID", "")),
        sop_uid=str(header.get("SOPInstanceUID", "")),
        study_uid=str(header.get("StudyInstanceUID", "")),
        series_uid=str(header.get("SeriesInstanceUID", "")),
        transfer_syntax=str(meta.get("TransferSyntaxUID", "") or _native(header.original_encoding)),
        data_set=path.read_bytes()[begin:],
    )


def sample(name: str = "CT_small.dcm") -> RawFile:
    """One of pydicom's own test files."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str), name
    return raw_file(Path(path))


def _native(encoding: tuple[bool | None, bool | None]) -> str:
    implicit, little_endian = encoding
    if not little_endian:
        return str(ExplicitVRBigEndian)
    return str(ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian)
