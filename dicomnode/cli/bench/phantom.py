"""A CT series that nobody was scanned for: a chest of ellipses with the noise of a scan, real headers, chosen size."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

_PIXEL_MM = 0.7
_APART_MM = 2.5
_NOISE_HU = 25.0
_HEADER: dict[str, Any] = {
    "SOPClassUID": CTImageStorage,
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "Modality": "CT",
    "SyntheticData": "YES",
    "PatientName": "Bench^Phantom",
    "PatientID": "BENCH",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "StudyID": "1",
    "AccessionNumber": "",
    "StudyDate": "20250301",
    "StudyTime": "101500",
    "SeriesDate": "20250301",
    "SeriesTime": "101500",
    "ReferringPhysicianName": "",
    "SeriesNumber": 2,
    "SeriesDescription": "Bench",
    "Manufacturer": "Bench",
    "ManufacturerModelName": "Phantom",
    "BodyPartExamined": "CHEST",
    "PatientPosition": "HFS",
    "PositionReferenceIndicator": "",
    "AcquisitionNumber": 1,
    "KVP": "120",
    "ConvolutionKernel": "B30f",
    "SliceThickness": f"{_APART_MM:g}",
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
    "RescaleIntercept": "-1024",
    "RescaleSlope": "1",
    "RescaleType": "HU",
    "WindowCenter": "40",
    "WindowWidth": "400",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
}


def ct_series(slices: int, size: int, syntax: UID = ExplicitVRLittleEndian) -> Iterator[Dataset]:
    """An axial series of size x size pixels, of a new study each time; compressed if `syntax` is."""
    rng = np.random.default_rng(slices)
    study, series, frame = (_uid() for _ in range(3))
    for index in range(slices):
        dataset = Dataset()
        for keyword, value in _HEADER.items():
            setattr(dataset, keyword, value)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.SOPInstanceUID = _uid()
        dataset.InstanceNumber = index + 1
        corner = f"{-_PIXEL_MM * size / 2:g}"
        dataset.ImagePositionPatient = [corner, corner, f"{_APART_MM * index:g}"]
        dataset.PixelSpacing = [f"{_PIXEL_MM:g}"] * 2
        hounsfield = chest(size, (index + 0.5) / slices) + _NOISE_HU * grain(rng, size)
        dataset.Rows = dataset.Columns = size
        dataset.PixelData = np.clip(np.rint(hounsfield + 1024), 0, 4095).astype("<u2").tobytes()
        yield _in_syntax(dataset, syntax)


def chest(size: int, z: float) -> NDArray[np.float64]:
    """A slice without noise in HU, (size, size); `z` in 0..1 runs through the lungs."""
    image = np.where(_ellipse(size, 0.5, 0.5, 0.34, 0.44), 40.0, -1000.0)
    lung = 0.12 + 0.08 * np.sin(np.pi * z)
    for column in (0.31, 0.69):
        image[_ellipse(size, 0.46, column, lung, 0.6 * lung)] = -850.0
    image[_ellipse(size, 0.74, 0.5, 0.06, 0.06)] = 400.0
    return image


def grain(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Noise of standard deviation 1 with about the grain of a body kernel: no scanner's noise is white."""
    noise = rng.normal(size=(size, size))
    for axis in (0, 1):
        noise = 0.25 * np.roll(noise, 1, axis) + 0.5 * noise + 0.25 * np.roll(noise, -1, axis)
    return np.asarray(noise / noise.std())


def _ellipse(size: int, y: float, x: float, height: float, width: float) -> NDArray[np.bool_]:
    grid = (np.arange(size) + 0.5) / size
    return np.asarray(((grid[:, None] - y) / height) ** 2 + ((grid[None, :] - x) / width) ** 2 <= 1.0)


def _in_syntax(dataset: Dataset, syntax: UID) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def _uid() -> str:
    return f"2.25.{uuid4().int}"
