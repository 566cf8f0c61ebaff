"""Decoding: equal to pydicom's for every syntax it knows, and nothing that an image does ends the worker."""

import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, HTJ2KLossless, RLELossless

from dicomnode.enhance import decode_process
from dicomnode.enhance.decode import DecodeLimits, Decoder
from dicomnode.enhance.decode_child import write_message
from dicomnode.enhance.errors import CannotDecode

FILES = Path(pydicom.__file__).parent / "data" / "test_files"

SYNTAXES = {
    "Implicit VR Little Endian",
    "Explicit VR Little Endian",
    "Explicit VR Big Endian",
    "Deflated Explicit VR Little Endian",
    "JPEG Baseline (Process 1)",
    "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 [Selection Value 1])",
    "JPEG-LS Lossless Image Compression",
    "JPEG-LS Lossy (Near-Lossless) Image Compression",
    "JPEG 2000 Image Compression (Lossless Only)",
    "JPEG 2000 Image Compression",
    "RLE Lossless",
}

# 16 x 16, 16 bits unsigned, (16 x + 3 y) mod 4096 + (x y) mod 7, encoded reversibly by OpenJPH 0.26.3
HTJ2K = (
    "/0//UQApQAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQ"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAOEAAf+TwAAlSQUHdAAAwAASwAASgCQBh3QA9gAHdADAABUQAASwAASAAoFE"
    "8gCCtADCgmazAKcIUwDAABXQAAVcAAFYSIAgwAJA/EMkuEU2lwDCgCRYwFQsNJWWACAKkiBJ/kAGs+m2AMAALo4AAXRQAAt81QTICxK2ARgUPiHE"
    "EyDwBFDBQ/WYTTypoV8lXE1wCj194QERIwhQNi4LFiYJAqCbFoD9ak1yJBSQ8WW6FlQq9PKbj1IBm+aoSOQopaIsWtKltY057/Lt/TqG26p+rvIf"
    "+6RRAf/Z"
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


def read(name: str) -> Dataset:
    path = get_testdata_file(name, download=False)
    assert path is not None, name
    return dcmread(path)


@pytest.mark.filterwarnings("ignore")
def test_every_file_that_pydicom_decodes_gives_the_same_pixels(decoder: Decoder) -> None:
    compared = set()
    for path in sorted(FILES.glob("*.dcm")):
        image = dcmread(path, force=True)
        try:
            expected = image.pixel_array if image.get("PixelData") else None
        except Exception:
            expected = None
        if expected is None or int(image.get("NumberOfFrames") or 1) != 1:
            with pytest.raises(CannotDecode):
                decoder.decode(image)
            continue
        found = decoder.decode(image)
        assert found.dtype == expected.dtype, path.name
        assert np.array_equal(found, expected), path.name
        compared.add(image.file_meta.TransferSyntaxUID.name)
    assert compared >= SYNTAXES


def test_htj2k(decoder: Decoder) -> None:
    image = read("JPEG2000.dcm")
    image.file_meta.TransferSyntaxUID = HTJ2KLossless
    image.Rows = image.Columns = 16
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = encapsulate([base64.b64decode(HTJ2K)])
    y, x = np.mgrid[:16, :16]
    assert np.array_equal(decoder.decode(image), (x * 16 + y * 3) % 4096 + (x * y) % 7)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (8, 1), (16, 0), (16, 1)])
def test_native_layouts(decoder: Decoder, bits: int, signed: int, planar: int, big_endian: bool) -> None:
    rng = np.random.default_rng(bits + signed)
    samples = 3 if not signed else 1
    shape = (3, 5, samples) if samples == 3 else (3, 5)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    pixels = rng.integers(low, high, shape).astype(f"{'>' if big_endian else '<'}{'i' if signed else 'u'}{bits // 8}")
    image = read("CT_small.dcm")
    image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big_endian else ExplicitVRLittleEndian
    image.Rows, image.Columns, image.SamplesPerPixel = 3, 5, samples
    image.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = bits
    image.HighBit, image.PixelRepresentation = bits - 1, signed
    ordered = pixels
    if samples == 3:
        image.PlanarConfiguration = planar
        ordered = pixels.transpose(2, 0, 1) if planar else pixels
    data = ordered.tobytes()
    image.PixelData = data + b"\0" * (len(data) % 2)
    image["PixelData"].VR = "OB" if bits == 8 else "OW"
    assert np.array_equal(decoder.decode(image), pixels)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"NumberOfFrames": 10**9}, "multi-frame"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 65535, "Columns": 65535}, "8192 MiB decoded"),
        ({"Rows": 0}, "Rows is missing or zero"),
        ({"BitsAllocated": 12}, "12 bits allocated"),
        ({"SamplesPerPixel": 4}, "4 samples"),
        ({"BitsAllocated": None}, "BitsAllocated"),
        ({"PixelData": b""}, "no integer pixel data"),
        ({"Rows": 129}, "cannot be read"),
    ],
)
def test_headers_are_refused_before_decoding(decoder: Decoder, changes: dict[str, object], reason: str) -> None:
    image = read("CT_small.dcm")
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    with pytest.raises(CannotDecode, match=reason):
        decoder.decode(image)


def test_an_rle_bomb_is_refused_without_a_child() -> None:
    image = read("MR_small_RLE.dcm")
    image.Rows = image.Columns = 65535
    with Decoder() as decoder:
        with pytest.raises(CannotDecode, match="more than the limit of 256 MiB"):
            decoder.decode(image)
        assert decoder.process.pid is None


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.3.4", "", "not a uid"])
def test_syntaxes_that_are_no_still_images(decoder: Decoder, syntax: str) -> None:
    image = read("CT_small.dcm")
    image.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(CannotDecode, match="transfer syntax"):
        decoder.decode(image)


def test_broken_frames_are_refused_and_the_child_goes_on() -> None:
    good, broken = read("MR_small_RLE.dcm"), read("JPEG2000.dcm")
    broken.PixelData = encapsulate([bytes(range(256)) * 4])
    with Decoder() as decoder:
        decoder.decode(good)
        pid = decoder.process.pid
        with pytest.raises(CannotDecode, match="cannot be decoded") as refused:
            decoder.decode(broken)
        assert "\n" not in str(refused.value)
        assert np.array_equal(decoder.decode(good), good.pixel_array)
        assert decoder.process.pid == pid


@pytest.mark.faults
@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGXCPU, "out of CPU time"), (signal.SIGKILL, "SIGKILL")],
)
def test_a_child_that_crashes_costs_one_image(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, reason: str
) -> None:
    """It has been asked, and has answered nothing."""
    image = read("MR_small_RLE.dcm")
    with Decoder() as decoder:
        decoder.decode(image)
        pid = decoder.process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)

        def write_and_crash(*message: Any) -> None:
            write_message(*message)
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)

        with monkeypatch.context() as patch:
            patch.setattr(decode_process, "write_message", write_and_crash)
            with pytest.raises(CannotDecode, match=reason):
                decoder.decode(image)
        assert np.array_equal(decoder.decode(image), image.pixel_array)
        assert decoder.process.pid != pid


@pytest.mark.faults
def test_a_child_that_hangs_is_ended_in_time() -> None:
    image = read("MR_small_RLE.dcm")
    with Decoder() as decoder:
        decoder.decode(image)
        assert decoder.process.pid is not None
        os.kill(decoder.process.pid, signal.SIGSTOP)
        usual, decoder.limits = decoder.limits, DecodeLimits(wall_seconds=0.5)
        with pytest.raises(CannotDecode, match=r"took longer than 0\.5 s"):
            decoder.decode(image)
        decoder.limits = usual  # the child is started again, which takes a busy machine its time
        assert np.array_equal(decoder.decode(image), image.pixel_array)


@pytest.mark.faults
def test_memory_beyond_the_limit_costs_one_image() -> None:
    small, large = read("MR_small_RLE.dcm"), read("MR_small_RLE.dcm")
    large.Rows = large.Columns = 8192
    large.BitsAllocated = large.BitsStored = 16
    run = b"\x81\x00"  # 128 zeros
    segment = run * (8192 * 8192 // 128)
    offsets = np.array([2, 64, 64 + len(segment), *[0] * 13], "<u4").tobytes()
    large.PixelData = encapsulate([offsets + segment * 2])
    assert large.file_meta.TransferSyntaxUID == RLELossless
    with Decoder(DecodeLimits(memory_bytes=256 << 20)) as decoder:
        decoder.decode(small)
        with pytest.raises(CannotDecode, match="more than 256 MiB of memory"):
            decoder.decode(large)
        assert np.array_equal(decoder.decode(small), small.pixel_array)
    with Decoder() as decoder:
        assert decoder.decode(large).shape == (8192, 8192)


def test_the_child_knows_neither_torch_nor_the_working_directory(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "dl").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DICOMNODE_DATABASE__URL", "postgresql://user:secret@host/db")
    image = read("JPEG2000.dcm")
    with Decoder() as decoder:
        assert decoder.decode(image).shape == (1024, 256)
        proc = Path(f"/proc/{decoder.process.pid}")
        assert b"DICOMNODE" not in (proc / "environ").read_bytes()
        assert "libtorch" not in (proc / "maps").read_text()
