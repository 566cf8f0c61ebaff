"""The receiver against DCMTK, which shares no code with it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from support.rawfiles import raw_file, sample
from support.receiving import Receiving, receiving

from dicomnode.store.members import InstanceMember
from dicomnode.store.reading import read_dataset

pytestmark = pytest.mark.peers

STORESCU = "/usr/bin/storescu"
ECHOSCU = "/usr/bin/echoscu"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiving]:
    assert "dcmtk" in subprocess.run([STORESCU, "--version"], capture_output=True, text=True, check=True).stdout
    with receiving(tmp_path_factory.mktemp("store"), allowed_calling_aets=["MODALITY"]) as node:
        yield node


def new_instances(node: Receiving) -> list[InstanceMember]:
    return [member for member in node.news() if isinstance(member, InstanceMember)]


def dcmtk(
    program: str, node: Receiving, *arguments: str | Path, calling: str = "MODALITY", called: str = "DICOMNODE"
) -> subprocess.CompletedProcess[str]:
    parties = ["-aet", calling, "-aec", called, "127.0.0.1", str(node.port)]
    options = [a for a in arguments if str(a).startswith(("-", "+"))]
    files = [a for a in arguments if a not in options]
    return subprocess.run([program, "-v", *options, *parties, *files], capture_output=True, text=True, timeout=60)


def test_echo(node: Receiving) -> None:
    done = dcmtk(ECHOSCU, node)
    assert done.returncode == 0
    assert "Received Echo Response (Success)" in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("calling", "called", "reason"),
    [
        ("MODALITY", "WRONG", "Called AE Title Not Recognized"),
        ("WRONG", "DICOMNODE", "Calling AE Title Not Recognized"),
    ],
)
def test_rejections(node: Receiving, calling: str, called: str, reason: str) -> None:
    done = dcmtk(ECHOSCU, node, calling=calling, called=called)
    assert done.returncode != 0
    assert reason in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("-xs", "JPEG-LL.dcm"),
        ("-xv", "MR_small_jp2klossless.dcm"),
        ("-xw", "JPEG2000.dcm"),
        ("-xt", "MR_small_jpeg_ls_lossless.dcm"),
        ("-xy", "SC_rgb_jpeg_dcmtk.dcm"),
        ("-xx", "JPEG-lossy.dcm"),
        ("-xr", "MR_small_RLE.dcm"),
        ("-xd", "image_dfl.dcm"),
        ("-xe", "CT_small.dcm"),
        ("-xb", "MR_small_bigendian.dcm"),
    ],
)
def test_a_file_goes_in_its_own_syntax(node: Receiving, option: str, name: str) -> None:
    """DCMTK offers the file's syntax, and sends the pixels as they are."""
    file = sample(name)
    node.news()
    done = dcmtk(STORESCU, node, option, file.path)
    assert done.returncode == 0, done.stderr
    (member,) = new_instances(node)
    assert member.receipt.transfer_syntax_uid == file.transfer_syntax
    assert member.receipt.sop_instance_uid == file.sop_uid
    assert read_dataset(node.root, member.location).PixelData == dcmread(file.path).PixelData


def test_a_folder_over_one_association(node: Receiving) -> None:
    folder = sample("CT_small.dcm").path.parent / "dicomdirtests" / "98892003" / "MR700"
    expected = {raw_file(path).sop_uid for path in folder.iterdir()}
    node.news()
    done = dcmtk(STORESCU, node, "+sd", folder)
    assert done.returncode == 0, done.stderr
    stored = new_instances(node)
    assert {m.receipt.sop_instance_uid for m in stored} == expected
    assert len({m.receipt.association for m in stored}) == 1
    assert len({m.location.container for m in stored}) == 1


def test_two_senders_at_once(node: Receiving) -> None:
    root = sample("CT_small.dcm").path.parent / "dicomdirtests" / "98892003"
    node.news()
    started = [
        subprocess.Popen(
            [STORESCU, "+sd", "-aet", "MODALITY", "-aec", "DICOMNODE", "127.0.0.1", str(node.port), root / series]
        )
        for series in ("MR1", "MR2", "MR700")
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0, 0]
    stored = new_instances(node)
    assert len(stored) == sum(1 for s in ("MR1", "MR2", "MR700") for path in (root / s).iterdir() if path.is_file())
    assert len({m.receipt.association for m in stored}) == 3
