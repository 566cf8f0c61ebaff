"""Plausible DICOM series for tests: phantoms with real geometry, written by pydicom; one seed, one set of bytes."""

from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    XRayRadiationDoseSRStorage,
)
from scipy import ndimage

_NAMESPACE = UUID("0a9b7c7e-53a4-5d0b-9c55-6c1f1f5b7a10")

Array = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Roi = tuple[slice, slice]


def uid(*key: object) -> str:
    """A UID that is a function of its key."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(map(str, key))).int}"


def uniform_roi(rows: int = 512) -> Roi:
    """Rows and columns of the phantoms that hold nothing but one tissue and noise."""
    return slice(int(0.64 * rows), int(0.76 * rows)), slice(int(0.62 * rows), int(0.74 * rows))


def noise_sd(dataset: Dataset, roi: Roi | None = None) -> float:
    """Standard deviation in a region, in physical units (HU for CT); the region of the phantoms if none is given."""
    values = dataset.pixel_array.astype(np.float64) * float(dataset.get("RescaleSlope", 1))
    return float(values[roi or uniform_roi(dataset.Rows)].std())


def make_ct_series(
    directory: Path,
    n: int = 20,
    *,
    rows: int = 512,
    seed: int = 0,
    noise: float = 25.0,
    study: str = "study",
    images_in_acquisition: bool = False,
    description: str = "Chest low dose",
    series_number: int = 2,
) -> list[Path]:
    """An axial CT series of `n` slices: water-like body of 40 HU, lungs, spine, small inserts, `noise` HU of noise.

    Equal `seed` and `study` give the same study; `seed` and `series_number` make the series. Slices 2.5 mm apart.
    """

    def instance(index: int) -> Dataset:
        dataset = _image(CTImageStorage, "CT", index, n, rows, seed, study, description, series_number)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.KVP = "120"
        dataset.XRayTubeCurrent = "60"
        dataset.ConvolutionKernel = "B30f"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "40", "400"
        if images_in_acquisition:
            dataset.ImagesInAcquisition = n
        rng = np.random.default_rng([seed, series_number, index])
        hounsfield = ct_slice(rows, (index + 0.5) / n) + noise * _grain(rng.normal(size=(rows, rows)))
        _set_pixels(dataset, hounsfield + 1024)
        return dataset

    return _write(directory, f"ct{series_number}", (instance(index) for index in range(n)))


def _grain(white: Array) -> Array:
    """White noise with about the grain of a body kernel, of standard deviation 1: no scanner's noise is white."""
    blurred = ndimage.gaussian_filter(white, 0.9, mode="wrap")
    return np.asarray(blurred / blurred.std())


def make_mr_series(
    directory: Path,
    n: int = 20,
    *,
    rows: int = 256,
    seed: int = 0,
    noise: float = 20.0,
    study: str = "study",
    description: str = "t1 se tra",
    series_number: int = 2,
) -> list[Path]:
    """An axial T1 spin echo series: a head of several tissues, Rician noise of `noise` units, no rescale."""

    def instance(index: int) -> Dataset:
        dataset = _image(MRImageStorage, "MR", index, n, rows, seed, study, description, series_number)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType = "2D"
        dataset.RepetitionTime, dataset.EchoTime, dataset.EchoTrainLength = "500", "12", "1"
        dataset.MagneticFieldStrength = "1.5"
        dataset.WindowCenter, dataset.WindowWidth = "500", "1000"
        rng = np.random.default_rng([seed, series_number, index])
        real = mr_slice(rows, (index + 0.5) / n) + rng.normal(0.0, noise, (rows, rows))
        _set_pixels(dataset, np.hypot(real, rng.normal(0.0, noise, (rows, rows))))
        return dataset

    return _write(directory, f"mr{series_number}", (instance(index) for index in range(n)))


def make_mixed_study(directory: Path, *, n: int = 10, rows: int = 128, seed: int = 0) -> dict[str, list[Path]]:
    """One study as a scanner sends it: a localizer, a CT series, a text SR, an encapsulated PDF, a dose report.

    Files by kind: `localizer`, `ct`, `sr`, `pdf`, `dose`.
    """
    localizer = _image(CTImageStorage, "CT", 0, 1, rows, seed, "study", "Topogram", 1)
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    localizer.KVP = "120"
    localizer.RescaleIntercept, localizer.RescaleSlope, localizer.RescaleType = "-1024", "1", "US"
    localizer.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    localizer.ImagePositionPatient = ["-150", "0", "0"]
    _set_pixels(localizer, ct_slice(rows, 0.5) + 1024)
    documents = {
        "sr": _report(BasicTextSRStorage, seed, 501, ("121060", "DCM", "History"), "Cough for two weeks."),
        "pdf": _pdf(seed),
        "dose": _report(
            XRayRadiationDoseSRStorage, seed, 502, ("113701", "DCM", "X-Ray Radiation Dose Report"), "CTDIvol 2.1 mGy"
        ),
    }
    return {
        "localizer": _write(directory, "localizer", [localizer]),
        "ct": make_ct_series(directory, n, rows=rows, seed=seed),
        **{kind: _write(directory, kind, [dataset]) for kind, dataset in documents.items()},
    }


def ct_slice(rows: int, z: float) -> Array:
    """A noiseless axial slice in HU, (rows, rows); `z` in 0..1 runs through the chest."""
    body = _ellipse(rows, 0.5, 0.5, 0.36, 0.46)
    image = np.where(body, 40.0, -1000.0)
    size = 0.10 + 0.06 * np.sin(np.pi * z)
    for column in (0.30, 0.70):
        image[_ellipse(rows, 0.42, column, size, 0.6 * size)] = -850.0
    image[_ellipse(rows, 0.74, 0.5, 0.06, 0.06)] = 400.0
    for number, contrast in enumerate((-60.0, -20.0, 20.0, 60.0)):
        image[_ellipse(rows, 0.66, 0.24 + 0.05 * number, 0.015, 0.015)] = 40.0 + contrast
    return image


def mr_slice(rows: int, z: float) -> Array:
    """A noiseless axial slice of a head in arbitrary units, (rows, rows); `z` in 0..1 runs through it."""
    image = np.zeros((rows, rows))
    for value, height, width in ((900.0, 0.45, 0.38), (100.0, 0.41, 0.34), (600.0, 0.39, 0.32)):
        image[_ellipse(rows, 0.5, 0.5, height, width)] = value
    size = 0.05 + 0.05 * np.sin(np.pi * z)
    for column in (0.44, 0.56):
        image[_ellipse(rows, 0.46, column, size, 0.4 * size)] = 250.0
    return image


def _ellipse(
    rows: int, y: float, x: float, height: float, width: float
) -> np.ndarray[tuple[int, int], np.dtype[np.bool]]:
    grid = (np.arange(rows) + 0.5) / rows
    return ((grid[:, None] - y) / height) ** 2 + ((grid[None, :] - x) / width) ** 2 <= 1.0


def _set_pixels(dataset: Dataset, stored: Array) -> None:
    """12 bits, unsigned: what most scanners write."""
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = np.clip(np.rint(stored), 0, 4095).astype("<u2").tobytes()


def _common(sop_class: str, modality: str, seed: int, study: str, series_number: int) -> Dataset:
    """Patient, study, series, equipment and SOP common modules: the same for each object of a study."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class
    dataset.Modality = modality
    dataset.SyntheticData = "YES"
    dataset.PatientName, dataset.PatientID = f"Phantom^{seed}", f"PHANTOM-{seed}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyInstanceUID = uid(seed, study)
    dataset.SeriesInstanceUID = uid(seed, study, modality, series_number)
    dataset.StudyID, dataset.AccessionNumber = "1", f"ACC{seed}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = "20250301"
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = "101500"
    dataset.ReferringPhysicianName, dataset.StudyDescription = "", "Phantom study"
    dataset.SeriesNumber = series_number
    dataset.Manufacturer, dataset.ManufacturerModelName = "Phantom Works", "P1"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1.0"
    return dataset


def _image(
    sop_class: str,
    modality: str,
    index: int,
    n: int,
    rows: int,
    seed: int,
    study: str,
    description: str,
    series_number: int,
) -> Dataset:
    """An image without pixels: geometry of an axial stack around the isocentre, 300 mm wide, 2.5 mm apart."""
    dataset = _common(sop_class, modality, seed, study, series_number)
    dataset.SOPInstanceUID = uid(seed, study, modality, series_number, index)
    dataset.SeriesDescription = description
    dataset.BodyPartExamined = "CHEST" if modality == "CT" else "HEAD"
    dataset.AcquisitionNumber, dataset.InstanceNumber = 1, index + 1
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20250301", f"1015{index % 60:02d}"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = uid(seed, study, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    position = 2.5 * (index - (n - 1) / 2)
    dataset.ImagePositionPatient = ["-150", "-150", f"{position:g}"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.SliceThickness, dataset.SliceLocation = "2.5", f"{position:g}"
    dataset.PixelSpacing = [f"{300 / rows:.6g}"] * 2
    return dataset


def _report(sop_class: str, seed: int, series_number: int, title: tuple[str, str, str], text: str) -> Dataset:
    """A structured report of one container with one text item."""
    dataset = _common(sop_class, "SR", seed, "study", series_number)
    dataset.SOPInstanceUID = uid(seed, "report", series_number)
    dataset.InstanceNumber = 1
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    dataset.ReferencedPerformedProcedureStepSequence = []
    dataset.PerformedProcedureCodeSequence = []
    dataset.ValueType, dataset.ContinuityOfContent = "CONTAINER", "SEPARATE"
    dataset.ConceptNameCodeSequence = [_code(*title)]
    item = Dataset()
    item.RelationshipType, item.ValueType, item.TextValue = "CONTAINS", "TEXT", text
    item.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    dataset.ContentSequence = [item]
    return dataset


def _pdf(seed: int) -> Dataset:
    dataset = _common(EncapsulatedPDFStorage, "DOC", seed, "study", 503)
    dataset.SOPInstanceUID = uid(seed, "pdf")
    dataset.ConversionType, dataset.InstanceNumber, dataset.BurnedInAnnotation = "WSD", 1, "NO"
    dataset.AcquisitionDateTime, dataset.DocumentTitle = "", "Consent"
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    dataset.EncapsulatedDocumentLength = len(document)
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return dataset


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _write(directory: Path, prefix: str, datasets: Iterable[Dataset]) -> list[Path]:
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, 1):
        path = directory / f"{prefix}-{number:04d}.dcm"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
