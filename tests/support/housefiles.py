"""What a day brings to the house: pydicom's real files, each series of a patient with a name of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from support.derivations import file_of
from support.series import uid

FOLDER_OF_TODAY = date.today().strftime("%Y%m%d")


@dataclass(frozen=True)
class Patient:
    """As a scanner's worklist has it."""

    name: str
    identifier: str
    accession: str
    sex: str = ""


MUELLER = Patient("Müller-Lüdenscheidt^Jürgen", "M-1001", "2026-0101", "M")
YAMADA = Patient("Yamada^Tarou=山田^太郎=やまだ^たろう", "J-2207", "2026-0102", "M")
LJUBOV = Patient("Иванова^Любовь", "R-3141", "2026-0103", "F")
QABBANI = Patient("قباني^لنزار", "A-0042", "2026-0104", "M")
HONG = Patient("Hong^Gildong=洪^吉洞=홍^길동", "K-0815", "2026-0105", "M")
ADAMS = Patient("Adams^John Robert Quincy^^Rev.^B.A. M.Div.", "E-1735", "2026-0106", "M")


@dataclass(frozen=True)
class Sent:
    """A series to send: who sends it, and its files in order."""

    calling: str
    files: tuple[Path, ...]
    uid: str


@dataclass
class Worklist:
    """Writes series of real files under `folder`."""

    folder: Path
    _count: int = field(default=0)

    def series(self, file: str, patient: Patient, calling: str, description: str, slices: int = 3, **more: Any) -> Sent:
        """`slices` instances made of one real file, 5 mm apart where it has a place; `more` are attributes."""
        self._count += 1
        target = self.folder / f"{self._count:03d}"
        target.mkdir(parents=True)
        key = (patient.identifier, self._count)
        files = tuple(self._write(target, file, patient, description, key, slices, more))
        return Sent(calling, files, uid("series", *key))

    def _write(
        self,
        target: Path,
        file: str,
        patient: Patient,
        description: str,
        key: tuple[object, ...],
        slices: int,
        more: dict[str, Any],
    ) -> Iterator[Path]:
        for number in range(1, slices + 1):
            dataset = dcmread(file_of(file))
            _of_patient(dataset, patient)
            dataset.StudyInstanceUID = uid("study", patient.identifier)
            dataset.SeriesInstanceUID = uid("series", *key)
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid("instance", *key, number)
            dataset.SeriesNumber, dataset.InstanceNumber = int(str(key[1])), number
            dataset.SeriesDescription = description
            if "ImagePositionPatient" in dataset:
                x, y, z = (float(value) for value in dataset.ImagePositionPatient)
                dataset.ImagePositionPatient = [x, y, z + 5.0 * number]
            for keyword, value in more.items():
                setattr(dataset, keyword, value)
            dataset.save_as(path := target / f"{number:03d}.dcm")
            yield path


def _of_patient(dataset: Dataset, patient: Patient) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = patient.name, patient.identifier
    dataset.PatientSex, dataset.AccessionNumber = patient.sex, patient.accession
    dataset.StudyDate = dataset.SeriesDate = FOLDER_OF_TODAY
    dataset.StudyDescription = {"CT": "Thorax nativ", "MR": "MRT Schädel", "US": "Sono Abdomen"}.get(
        str(dataset.get("Modality", "")), "Befund"
    )


def contradiction(sent: Sent, folder: Path) -> Path:
    """Other pixels under the UID of its first instance: a conflict."""
    dataset = dcmread(sent.files[0])
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 0x3F
    dataset.PixelData = bytes(pixels)
    folder.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path := folder / "contradiction.dcm")
    return path
