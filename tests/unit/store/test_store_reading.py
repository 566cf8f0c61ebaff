from pathlib import Path

import pytest
from pydicom import dcmread
from support.rawfiles import sample

from dicomnode.domain.instance import Location
from dicomnode.store.errors import StoreError
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import prefix
from dicomnode.store.reading import containers, read_bytes, read_dataset, read_header
from dicomnode.store.staged import write_container


def stored(root: Path, name: str) -> Location:
    file = sample(name)
    journal = Journal(root, "n", "p")
    location = journal.append(file.receipt(), file.data_set)
    journal.close()
    return location


@pytest.mark.parametrize("name", ["CT_small.dcm", "image_dfl.dcm", "MR_small_bigendian.dcm", "JPEG2000.dcm"])
def test_what_was_stored_is_read_back(tmp_path: Path, name: str) -> None:
    file = sample(name)
    location = stored(tmp_path, name)
    assert read_bytes(tmp_path, location) == prefix(file.receipt()) + file.data_set
    assert read_dataset(tmp_path, location).PixelData == dcmread(file.path).PixelData


def test_a_header_is_read_without_the_pixels(tmp_path: Path) -> None:
    location = stored(tmp_path, "CT_small.dcm")
    container = tmp_path / location.container
    # Holes where the pixels are: a reader that needs them would find zeros, one that counts blocks none.
    header = read_header(tmp_path, location)
    assert header.PatientID == "1CT1"
    assert header.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert "PixelData" not in header
    assert container.stat().st_size > location.length


def test_containers_are_listed_by_name(tmp_path: Path) -> None:
    assert containers(tmp_path) == []
    stored(tmp_path, "CT_small.dcm")
    stored(tmp_path, "CT_small.dcm")
    (tmp_path / "containers" / "notes.txt").write_text("not a container")
    found = containers(tmp_path)
    assert [c.name for c in found] == sorted(c.name for c in found)
    assert [c.size for c in found] == [(tmp_path / c.name).stat().st_size for c in found]
    assert len(found) == 2


@pytest.mark.parametrize("name", ["../outside.tar", "/etc/passwd", "containers/../../x"])
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a container"):
        read_bytes(tmp_path, Location(name, 0, 10))


def test_a_container_that_ends_too_early_says_so(tmp_path: Path) -> None:
    location = stored(tmp_path, "CT_small.dcm")
    with pytest.raises(EOFError):
        read_bytes(tmp_path, Location(location.container, location.offset, location.length * 2))


def test_a_wrong_place_is_no_instance(tmp_path: Path) -> None:
    location = stored(tmp_path, "CT_small.dcm")
    with pytest.raises(UnreadableHeader):
        read_header(tmp_path, Location(location.container, location.offset + 1000, 2000))


def test_staged_files_lie_where_they_were_said_to(tmp_path: Path) -> None:
    files = [sample(name).path.read_bytes() for name in ("CT_small.dcm", "MR_small.dcm")]
    locations = write_container(tmp_path, "staged/7/1/a.tar", iter(files))
    assert [read_bytes(tmp_path, location) for location in locations] == files
    assert read_header(tmp_path, locations[0]).Modality == "CT"
    assert (tmp_path / "staged/7/1/a.tar").stat().st_mode & 0o777 == 0o600


def test_a_staged_container_is_never_overwritten(tmp_path: Path) -> None:
    write_container(tmp_path, "staged/a.tar", [b"first"])
    with pytest.raises(FileExistsError):
        write_container(tmp_path, "staged/a.tar", [b"second"])
    assert read_bytes(tmp_path, Location("staged/a.tar", 512, 5)) == b"first"


def test_a_failed_staging_leaves_no_file(tmp_path: Path) -> None:
    def files() -> object:
        yield b"first"
        raise RuntimeError("the network produced nothing")

    with pytest.raises(RuntimeError):
        write_container(tmp_path, "staged/a.tar", files())  # type: ignore[arg-type]
    assert list((tmp_path / "staged").iterdir()) == []


def test_staging_where_a_file_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "staged").write_text("")
    with pytest.raises((StoreError, FileExistsError)):
        write_container(tmp_path, "staged/a.tar", [b"x"])
