"""The series that `dicomnode demo` sends: `python -m pipelines.demo_series --out DIR [--slices 36] [--data data]`.

A slab of the held-out chest CT at a simulated quarter dose, as a scanner would write it, and the same slices as they
were before, for comparison. Real geometry and HU; the patient is an invented one and SyntheticData says YES.

    DIR/low-dose/0001.dcm ...   the series to send, from head to feet
    DIR/full-dose/0001.dcm ...  the same slices without the added noise
    DIR/series.json             what the two are, and which slice is worth looking at
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from .data import DataError, Source, fetch, sources
from .simulate.ct_dose import QUARTER_DOSE_I0, Dose, low_dose
from .volume import Volume, load_volume

VOLUME = "lung2"
FEWEST_SLICES = 3
_SEED = 5000
_NAMESPACE = UUID("6f1df0f2-5ac5-5a0c-8d5e-1f0f5a2f7f55")

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Slab:
    """Slices `first` to `last` of the volume (both included, counted from the feet) and the one with most to see."""

    first: int
    last: int
    shown: int

    def __len__(self) -> int:
        return self.last - self.first + 1


def choose_slab(volume: Volume, slices: int) -> Slab:
    """`slices` neighbours about the slice that holds the largest part of the outlined tumour."""
    if volume.labels is None or not volume.labels.any():
        raise DataError(f"{volume.name} has no outlined tumour.")
    total = len(volume.hu)
    shown = int((volume.labels > 0).sum((1, 2)).argmax())
    first = min(max(shown - slices // 2, 0), total - slices)
    return Slab(first, first + slices - 1, shown)


def write(volume: Volume, source: Source, slab: Slab, out: Path) -> None:
    """Simulate and write both series, saying how far it is on stdout."""
    for number, z in enumerate(range(slab.last, slab.first - 1, -1), start=1):
        full = volume.hu[z]
        low = low_dose(torch.from_numpy(full), volume.spacing[1], Dose(), _SEED + z).numpy()
        for kind, hu in (("low", low), ("full", full)):
            _save(instance(volume, slab, z, number, kind, hu), out / f"{kind}-dose" / f"{number:04d}.dcm")
        _say(f"slice {number} of {len(slab)}")
    document = {
        "volume": volume.name,
        "source": f"{source.package.name} {source.package.version}",
        "licence": source.package.licence,
        "slices": len(slab),
        "slices_of_the_volume": len(volume.hu),
        "photons_per_ray": QUARTER_DOSE_I0,
        "series_uid": uid(volume.name, len(slab), "low"),
        "shown": uid(volume.name, len(slab), "low", slab.shown),
        "shown_number": slab.last - slab.shown + 1,
    }
    (out / "series.json").write_text(json.dumps(document, indent=2), encoding="utf-8")


def instance(volume: Volume, slab: Slab, z: int, number: int, kind: str, hu: Image) -> Dataset:
    """One CT Image (PS3.3 A.3): slice `z` of the volume as image `number` of the `kind` ("low", "full") dose series.

    What the volume does not tell stays empty where the standard wants the element (KVP, acquisition time).
    """
    dataset = _patient_and_study(volume.name)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = uid(volume.name, len(slab), kind, z)
    dataset.SeriesInstanceUID = uid(volume.name, len(slab), kind)
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientPosition = "CT", "CHEST", "HFS"
    dataset.SeriesNumber = 2 if kind == "low" else 3
    words = "low dose (simulated quarter dose)" if kind == "low" else "full dose"
    dataset.SeriesDescription = f"Chest {words}"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Demonstration", "simulated low dose CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.AcquisitionNumber, dataset.InstanceNumber, dataset.ImagesInAcquisition = 1, number, len(slab)
    dataset.KVP = None
    _place(dataset, volume, z)
    _pixels(dataset, hu)
    return dataset


def uid(*key: object) -> str:
    """A UID that is a function of its key (PS3.5 B.2): the same series each time."""
    return f"2.25.{uuid5(_NAMESPACE, '/'.join(map(str, key))).int}"


def _patient_and_study(volume: str) -> Dataset:
    dataset = Dataset()
    dataset.SyntheticData = "YES"
    dataset.PatientName, dataset.PatientID = "DEMO^PATIENT", "DEMO"
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyInstanceUID = uid(volume, "study")
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "DEMO1", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20250301"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "101500"
    dataset.StudyDescription = "dicomnode demonstration"
    return dataset


def _place(dataset: Dataset, volume: Volume, z: int) -> None:
    """Image plane (PS3.3 C.7.6.2) and frame of reference, from the volume's own geometry."""
    height = volume.origin[2] + z * volume.spacing[0]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uid(volume.name, "frame"), ""
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.ImagePositionPatient = [_ds(volume.origin[0]), _ds(volume.origin[1]), _ds(height)]
    dataset.PixelSpacing = [_ds(volume.spacing[1]), _ds(volume.spacing[2])]
    dataset.SliceThickness, dataset.SliceLocation = _ds(volume.spacing[0]), _ds(height)


def _pixels(dataset: Dataset, hu: Image) -> None:
    """Stored values are HU: 16 bits, signed, so that noise in air is not cut off at -1024."""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.PixelData = np.rint(hu).clip(-32768, 32767).astype("<i2").tobytes()


def _ds(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return f"{value:.8g}"


def _save(dataset: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset(str(path), dataset, file_meta=meta, preamble=b"\0" * 128).save_as(path, enforce_file_format=True)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(arguments: Any = None) -> int:
    """The command line; 0 when both series are written."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo_series", description="Write the demo's series.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--slices", type=int, default=36, help="slices of the slab (default: 36)")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where the volumes are (default: data)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the simulation is one long chain of small steps; threads only wait for each other
    source = sources()[VOLUME]
    try:
        fetch([source], options.data)
        volume = load_volume(VOLUME, options.data)
        if not FEWEST_SLICES <= options.slices <= len(volume.hu):
            raise DataError(f"the slab can have {FEWEST_SLICES} to {len(volume.hu)} slices, not {options.slices}.")
        write(volume, source, choose_slab(volume, options.slices), options.out)
    except ImportError as error:
        print(f"demo_series: {error}; run: pip install 'dicomnode[data]'", file=sys.stderr)  # noqa: T201
        return 1
    except (DataError, OSError) as error:
        print(f"demo_series: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
