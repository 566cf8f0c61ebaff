"""De-identified copies: what is in them, what is not, who is held out, and the folder of a run."""

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from safetensors import safe_open
from safetensors.numpy import load_file
from support.site import real_series, site_series

from dicomnode.cli.common import CommandFailed
from dicomnode.cli.models.candidates import read_candidates
from dicomnode.cli.models.copies import Index, NoCopies, read_index, write_copies
from dicomnode.cli.models.judging import judge
from dicomnode.cli.models.patients import held_out, name_patients
from dicomnode.cli.models.work import WorkFolder
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.registry import Registry

_NUMBERS = ("DS", "IS", "US", "SS", "UL", "SL", "FD", "FL", "CS")


def copied(source: Path, out: Path, most: int = 600) -> Index:
    with Decoder() as decoder:
        found = read_candidates(source, Registry.load(entry_points=False).usable("ct-denoise"), decoder)
        return write_copies(judge(found, Registry.load(entry_points=False).usable("ct-denoise")).volumes, 1, out, most)


def secrets_of(dataset: Dataset) -> set[str]:
    """Every text in a header that could say who, when, where or with which UID; whole and in its words."""
    found: set[str] = set()
    for element in dataset.iterall():
        if element.VR in (*_NUMBERS, "SQ", "OB", "OW", "UN") or element.value is None:
            continue
        values = element.value if element.VM > 1 else [element.value]
        for value in map(str, values):
            found |= {value, *re.split(r"[\s^]+", value)}
    return {text for text in found if len(text) >= 5}


@pytest.mark.parametrize("name", ["CT_small.dcm", "explicit_VR-UN.dcm", "phantom"])
def test_no_byte_of_the_header_is_in_the_copies(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "Doe^Jane" / "1CT1"
    paths = site_series(folder, 7) if name == "phantom" else real_series(folder, name)
    copied(tmp_path / "Doe^Jane", tmp_path / "work")
    secrets = {"Doe", "Jane"}.union(*(secrets_of(dcmread(path)) for path in paths))
    assert len(secrets) > 15  # there was something to find
    for path in (tmp_path / "work").rglob("*"):
        data = path.read_bytes().lower()
        for secret in secrets:
            assert secret.lower().encode() not in data, f"{secret} is in {path.name}"
            assert secret.lower() not in path.name.lower()


def test_a_copy_holds_hounsfield_units_and_millimetres_and_nothing_else(tmp_path: Path) -> None:
    paths = real_series(tmp_path / "real")
    index = copied(tmp_path / "real", tmp_path / "work")
    file = tmp_path / "work" / index.copies[0].file
    arrays = load_file(file)
    assert set(arrays) == {"hu", "spacing"}
    assert arrays["spacing"].tolist() == pytest.approx([5.0, 0.661468, 0.661468])
    image = dcmread(paths[0])
    expected = np.maximum(image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept), -1000)
    assert (arrays["hu"] == expected).all()
    with safe_open(file, framework="numpy") as opened:
        assert not opened.metadata()


def test_copies_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    site_series(tmp_path / "a", 1)
    copied(tmp_path / "a", tmp_path / "work")
    assert (tmp_path / "work").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "work").iterdir()} == {0o600}


def test_the_split_is_by_patient_and_survives_in_the_index(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        site_series(tmp_path / "in" / f"{seed}a", seed)
        site_series(tmp_path / "in" / f"{seed}b", seed, series_number=3)
    index = copied(tmp_path / "in", tmp_path / "work")
    assert index == read_index(tmp_path / "work")
    assert len(index.copies) == 6
    assert len(index.held_out) == 1
    for copy in index.copies:
        assert copy.held_out == (copy.patient in index.held_out)


def test_slices_are_shared_evenly_by_patients_and_come_from_the_middle(tmp_path: Path) -> None:
    site_series(tmp_path / "in" / "1", 1, n=30)
    site_series(tmp_path / "in" / "2", 2, n=12)
    index = copied(tmp_path / "in", tmp_path / "work", most=20)
    assert [copy.slices for copy in index.copies] == [10, 10]


def test_pixels_that_are_no_patient_in_air_are_no_copy(tmp_path: Path) -> None:
    site_series(tmp_path / "in", 1, change=lambda dataset, index: setattr(dataset, "RescaleIntercept", "3000"))
    with pytest.raises(NoCopies, match="not HU, or no patient"):
        copied(tmp_path / "in", tmp_path / "work")


def test_names_follow_a_key_that_is_not_kept() -> None:
    patients = [("patient", f"P{number}", "") for number in range(8)]
    names = name_patients(patients, b"k" * 32)
    assert names == name_patients(reversed(patients), b"k" * 32)
    assert sorted(names.values()) == [f"patient-{number}" for number in range(1, 9)]
    assert any(name_patients(patients) != names for _ in range(3))


@pytest.mark.parametrize(("patients", "count"), [(1, 0), (2, 1), (9, 1), (20, 2), (35, 4)])
def test_a_tenth_of_the_patients_is_held_out(patients: int, count: int) -> None:
    assert len(held_out({f"patient-{number}": number for number in range(patients)})) == count


def test_a_work_folder_is_taken_once_and_holds_nothing_else(tmp_path: Path) -> None:
    with (
        WorkFolder(tmp_path / "w"),
        pytest.raises(CommandFailed, match="a training run goes on"),
        WorkFolder(tmp_path / "w"),
    ):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(CommandFailed, match="something that is no training run"), WorkFolder(tmp_path / "other"):
        pass
    (tmp_path / "w" / "model").mkdir()
    with pytest.raises(CommandFailed, match="a finished model lies in"), WorkFolder(tmp_path / "w"):
        pass


def test_clearing_leaves_the_curves_and_the_model(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path)
    kept = ("run/losses.csv", "run/validation.csv", "run/curves.png", "model/a.safetensors")
    gone = ("run/last.safetensors", "run/ct-noise/a.npy", "run/samples/a.png", "copies/index.json")
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folder.clear()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
