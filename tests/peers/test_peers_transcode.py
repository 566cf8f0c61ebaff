"""A storescp that takes only some transfer syntaxes: what it stores shows the same pixels, or is what we stored."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from support.derivations import file_of
from support.peers import StoreScp
from support.sendingbench import SendingBench

from dicomnode.deliver.part10 import data_set_bytes
from dicomnode.enhance.decode import Decoder
from dicomnode.flow.delivering.transcoding import transcoder

pytestmark = pytest.mark.peers

FILES = {
    "JPEG-LL.dcm": "JPEG Lossless",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS Lossless",
    "US1_J2KR.dcm": "JPEG 2000",
    "693_J2KI.dcm": "JPEG 2000",
    "OBXXXX1A_rle.dcm": "RLE Lossless",
    "SC_rgb_small_odd_jpeg.dcm": "JPEG Baseline",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "JPEG Baseline",
}
"""pydicom's real files, by their name; and how their transfer syntax is called."""

UNCOMPRESSED_ONLY = [("1.2.840.10008.1.2.1", ()), ("1.2.840.10008.1.2", ("+xi",))]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as made:
        yield made


def send(tmp_path: Path, pacs: StoreScp, decoder: Decoder, files: list[Path]) -> SendingBench:
    """One delivery of these files, attempted once."""
    bench = SendingBench(tmp_path / "node")
    bench.plan(files)
    assert bench.sender(pacs.port, transcode=transcoder(decoder)).send_next()
    return bench


@pytest.mark.parametrize(("syntax", "flags"), UNCOMPRESSED_ONLY)
def test_compressed_instances_arrive_uncompressed(
    syntax: str, flags: tuple[str, ...], tmp_path: Path, decoder: Decoder
) -> None:
    originals = {str(dcmread(file_of(name)).SOPInstanceUID): name for name in FILES}
    with StoreScp(tmp_path / "received", "+B", *flags) as pacs:
        bench = send(tmp_path, pacs, decoder, [file_of(name) for name in FILES])
        received = [dcmread(file) for file in pacs.files()]
    assert {one.SOPInstanceUID for one in received} == set(originals)
    for one in received:
        original = dcmread(file_of(originals[one.SOPInstanceUID]))
        assert one.file_meta.TransferSyntaxUID == syntax
        assert np.array_equal(one.pixel_array, original.pixel_array)
        assert one.get("LossyImageCompression", "00") >= original.get("LossyImageCompression", "00")
    for item in bench.items():
        assert item.state == "sent"
        assert f"transcoded from {FILES[originals[item.sop_uid]]}" in item.detail
        assert item.detail.endswith("because PACS does not take the former")
    (event,) = bench.events("delivery.sent")
    assert sum(event.detail["transcoded"].values()) == len(FILES)
    assert "2 of them transcoded from JPEG Baseline" in event.message


def test_the_original_in_the_store_is_untouched(tmp_path: Path, decoder: Decoder) -> None:
    with StoreScp(tmp_path / "received", "+B") as pacs:
        bench = send(tmp_path, pacs, decoder, [file_of("MR_small_RLE.dcm")])
    (item,) = bench.items()
    stored = (bench.root / item.container).read_bytes()[item.offset : item.offset + item.length]
    assert stored == file_of("MR_small_RLE.dcm").read_bytes()


def test_nothing_is_transcoded_where_the_stored_syntax_is_taken(tmp_path: Path, decoder: Decoder) -> None:
    files = [file_of(name) for name in (*FILES, "CT_small.dcm", "rtplan.dcm")]
    with StoreScp(tmp_path / "received", "+B", "+xa") as pacs:
        bench = send(tmp_path, pacs, decoder, files)
        received = sorted(bytes(data_set_bytes(file.read_bytes())) for file in pacs.files())
    assert received == sorted(bytes(data_set_bytes(file.read_bytes())) for file in files)
    assert not any("transcoded" in item.detail for item in bench.items())
    assert "transcoded" not in bench.events("delivery.sent")[0].detail


def test_explicit_to_a_peer_of_implicit_only(tmp_path: Path, decoder: Decoder) -> None:
    with StoreScp(tmp_path / "received", "+B", "+xi") as pacs:
        bench = send(tmp_path, pacs, decoder, [file_of("CT_small.dcm")])
        (received,) = [dcmread(file) for file in pacs.files()]
    assert received.PixelData == dcmread(file_of("CT_small.dcm")).PixelData
    assert "from Explicit VR Little Endian to Implicit VR Little Endian" in bench.items()[0].detail


def test_what_cannot_be_transcoded_is_a_dead_letter_with_the_reason(tmp_path: Path, decoder: Decoder) -> None:
    """Its pixels do not decode; its neighbour goes out."""
    broken = tmp_path / "broken.dcm"
    dataset = dcmread(file_of("MR_small_RLE.dcm"))
    dataset.Rows = 63
    dataset.save_as(broken)
    with StoreScp(tmp_path / "received") as pacs:
        bench = send(tmp_path, pacs, decoder, [broken, file_of("CT_small.dcm")])
    assert [item.state for item in bench.items()] == ["failed", "sent"]
    assert "PACS does not take MR Image Storage in RLE Lossless" in bench.items()[0].detail
    assert "frame 1 cannot be transcoded" in bench.items()[0].detail
    (row,) = bench.deliveries()
    assert row.state == "failed"
    assert "1 of 2 instances were refused for good" in row.reason


def cli(*arguments: str) -> tuple[int, dict[str, Any]]:
    """`dicomnode send`: exit status and its JSON document."""
    command = [sys.executable, "-m", "dicomnode", "send", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120.0, check=False)
    return done.returncode, json.loads(done.stdout)


def test_send_by_hand_transcodes_unless_told_otherwise(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in ("CT_small.dcm", "MR_small_jpeg_ls_lossless.dcm", "US1_J2KR.dcm"):
        shutil.copy(file_of(name), folder)
    with StoreScp(tmp_path / "received", "--fork") as pacs:
        status, told = cli(str(folder), "--to", f"127.0.0.1:{pacs.port}", "--associations", "2")
        assert (status, told["sent"], told["refused"]) == (0, 3, [])
        assert sum(told["transcoded"].values()) == 2
        assert len(pacs.files()) == 3
        status, told = cli(str(folder), "--to", f"127.0.0.1:{pacs.port}", "--as-is")
    assert (status, told["sent"], told["transcoded"]) == (1, 1, {})
    assert all("does not take" in row["reason"] for row in told["refused"])
