"""Instances that nobody was scanned for: a CT of 0.53 MB, an MR of 36 KB, a DX of 18 MB, and files of them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from dicomnode.cli.bench.network.raw_sender import INSTANCE, NUMBER, SERIES, STUDY, uid

_META = 144
"""Preamble, prefix and the element that states the length of the file meta information (PS3.10 7.1)."""
_HEADER: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "StudyDate": "20250301",
    "SeriesDate": "20250301",
    "AcquisitionDate": "20250301",
    "ContentDate": "20250301",
    "StudyTime": "101500",
    "SeriesTime": "101500",
    "AcquisitionTime": "101500",
    "ContentTime": "101500",
    "AccessionNumber": "",
    "Manufacturer": "Bench",
    "InstitutionName": "Bench",
    "ReferringPhysicianName": "",
    "StudyDescription": "Bench",
    "SeriesDescription": "Bench",
    "ManufacturerModelName": "Phantom",
    "PatientName": "Bench^Phantom",
    "PatientID": "BENCH",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "BodyPartExamined": "CHEST",
    "PatientPosition": "HFS",
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": SERIES,
    "SOPInstanceUID": INSTANCE,
    "StudyID": "1",
    "SeriesNumber": 2,
    "AcquisitionNumber": 1,
    "FrameOfReferenceUID": "2.25.1",
    "PositionReferenceIndicator": "",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "WindowCenter": "40",
    "WindowWidth": "400",
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
}
_PLANE: dict[str, Any] = {
    "SliceThickness": "2.5",
    "ImagePositionPatient": ["-179.2", "-179.2", "0"],
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "PixelSpacing": ["0.7", "0.7"],
}
_OWN: dict[str, dict[str, Any]] = {
    "CT": {**_PLANE, "SOPClassUID": CTImageStorage, "KVP": "120", "ConvolutionKernel": "B30f"},
    "MR": {**_PLANE, "SOPClassUID": MRImageStorage, "EchoTime": "90", "RepetitionTime": "4000", "EchoTrainLength": 16},
    "DX": {"SOPClassUID": DigitalXRayImageStorageForPresentation, "KVP": "110", "ViewPosition": "PA"},
}


def made_for(modalities: Collection[str], sizes: Mapping[str, int]) -> dict[str, "Kind"]:
    """One kind for each modality that is wanted; `sizes` are rows and columns."""
    return {modality: Kind.made(modality, size) for modality, size in sizes.items() if modality in modalities}


@dataclass(frozen=True)
class Kind:
    """One kind of instance: `part10` is a whole file that holds the sender's placeholders for its UIDs."""

    modality: str
    size: int
    sop_class: str
    part10: bytes
    data_set: bytes

    transfer_syntax = str(ExplicitVRLittleEndian)

    @classmethod
    def made(cls, modality: str, size: int) -> "Kind":
        """`size` x `size` pixels of noise: nothing in between may compress it."""
        dataset = Dataset()
        for keyword, value in {**_HEADER, **_OWN[modality]}.items():
            setattr(dataset, keyword, value)
        dataset.Modality = modality
        dataset.InstanceNumber = "000000"
        dataset.Rows = dataset.Columns = size
        noise = np.random.default_rng(size).integers(0, 4096, (size, size), dtype="<u2")
        dataset.PixelData = noise.tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        part10 = buffer.getvalue()
        begin = _META + int.from_bytes(part10[_META - 4 : _META], "little")
        return cls(modality, size, str(dataset.SOPClassUID), part10, part10[begin:])

    def described(self) -> dict[str, Any]:
        """For the document."""
        return {"modality": self.modality, "rows": self.size, "columns": self.size, "bytes": len(self.data_set)}

    def instances(self, stamp: int, count: int) -> Iterator[tuple[str, str, bytes]]:
        """(Series Instance UID, SOP Instance UID, whole file) of `count` instances of one series."""
        study, series = (uid(stamp, kind, 0, 0).encode() for kind in (1, 2))
        common = self.part10.replace(STUDY.encode(), study).replace(SERIES.encode(), series)
        at = common.index(NUMBER) + len(NUMBER)
        for serial in range(1, count + 1):
            own = uid(stamp, 3, 0, serial)
            numbered = common[:at] + b"%-6d" % (serial % 1_000_000) + common[at + 6 :]
            yield series.decode(), own, numbered.replace(INSTANCE.encode(), own.encode())

    def write(self, folder: Path, stamp: int, count: int) -> list[Path]:
        """`count` Part 10 files of one new series."""
        folder.mkdir(parents=True)
        files = []
        for number, (_, _, part10) in enumerate(self.instances(stamp, count)):
            files.append(folder / f"{number:06d}.dcm")
            files[-1].write_bytes(part10)
        return files
