"""What a hospital's folder may hold: phantoms with clinical pixels, and a series made of a real CT slice."""

from collections.abc import Callable
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from support.series import make_ct_series

Change = Callable[[Dataset, int], None]


def site_series(
    folder: Path, seed: int, n: int = 9, change: Change | None = None, series_number: int = 2
) -> list[Path]:
    """An axial CT series of one patient (`seed`) with pixels of 0.8 mm; `change` may alter each of its instances."""
    paths = make_ct_series(folder, n, rows=128, seed=seed, noise=8.0, series_number=series_number)
    for index, path in enumerate(paths):
        dataset = dcmread(path)
        dataset.PixelSpacing = ["0.8", "0.8"]
        if change:
            change(dataset, index)
        dataset.save_as(path)
    return paths


def real_series(folder: Path, name: str = "CT_small.dcm", n: int = 9) -> list[Path]:
    """A real CT slice with all its header, as a series: own SOP Instance UIDs and places, 5 mm apart."""
    folder.mkdir(parents=True, exist_ok=True)
    source = get_testdata_file(name, download=False)
    paths = []
    for index in range(n):
        dataset = dcmread(source)
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{index + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = index + 1
        x, y, z = (float(value) for value in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + 5.0 * index]
        paths.append(folder / f"real-{index:03d}.dcm")
        dataset.save_as(paths[-1])
    return paths
