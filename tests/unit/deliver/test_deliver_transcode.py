"""Transcoding for destinations that take nothing compressed: equal pixels, the same instance, the same bytes twice."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from support.derivations import file_of

from dicomnode.deliver.part10 import data_set_bytes
from dicomnode.deliver.transcode import CannotTranscode, Transcoder
from dicomnode.enhance.decode import DecodeLimits, Decoder
from dicomnode.flow.delivering.transcoding import transcoder

COMPRESSED = {
    "JPEG-LL.dcm": "JPEG lossless, 16 bits",
    "JPGLosslessP14SV1_1s_1f_8b.dcm": "JPEG lossless, 8 bits",
    "JPEG2000.dcm": "JPEG 2000, lossy",
    "US1_J2KR.dcm": "JPEG 2000, lossless, colour as YBR_RCT",
    "693_J2KI.dcm": "JPEG 2000, lossy, 14 bits",
    "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS, signed",
    "MR_small_RLE.dcm": "RLE, signed",
    "SC_rgb_rle.dcm": "RLE, colour",
    "SC_rgb_small_odd_jpeg.dcm": "JPEG baseline, colour, an odd number of bytes",
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "JPEG baseline, YBR_FULL",
    "color3d_jpeg_baseline.dcm": "JPEG baseline, YBR_FULL_422, 120 frames",
    "emri_small_jpeg_2k_lossless.dcm": "JPEG 2000, 10 frames",
    "emri_small_RLE.dcm": "RLE, 10 frames",
}
ABOUT_PIXELS = {0x00280004, 0x00280006, 0x00282110, 0x7FE00001, 0x7FE00002, 0x7FE00010}


@pytest.fixture(scope="module")
def transcode() -> Iterator[Transcoder]:
    with Decoder() as decoder:
        yield transcoder(decoder)


def read(data_set: bytes, syntax: str) -> Dataset:
    """A data set as a receiver reads it."""
    file_meta = FileMetaDataset()
    file_meta.TransferSyntaxUID = UID(syntax)
    stream = BytesIO()
    dcmwrite(stream, _bare(file_meta), enforce_file_format=False)
    read_back = dcmread(BytesIO(stream.getvalue() + data_set), force=True)
    read_back.file_meta = file_meta
    return read_back


def _bare(file_meta: FileMetaDataset) -> Dataset:
    bare = Dataset()
    bare.file_meta, bare.preamble = file_meta, b"\0" * 128
    return bare


@pytest.mark.parametrize("target", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_pixels_come_out_equal(name: str, target: str, transcode: Transcoder) -> None:
    file = file_of(name)
    original = dcmread(file)
    sent = read(transcode(file.read_bytes(), target), target)
    assert np.array_equal(sent.pixel_array, original.pixel_array)
    assert sent.pixel_array.dtype == original.pixel_array.dtype
    assert sent.SOPInstanceUID == original.SOPInstanceUID
    assert sent.PhotometricInterpretation == ("RGB" if original.SamplesPerPixel == 3 else "MONOCHROME2")
    assert len(sent.PixelData) % 2 == 0
    kept = [element for element in original if element.tag.element != 0 and element.tag not in ABOUT_PIXELS]
    assert {element.tag for element in kept} <= {element.tag for element in sent}
    for element in kept:  # implicit VR has no VR for private elements: their bytes alone (PS3.5 6.2.2)
        if not element.tag.is_private:
            assert sent[element.tag].value == element.value, element.keyword


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_small_odd_jpeg.dcm"])
def test_what_was_lossy_says_so(name: str, transcode: Transcoder) -> None:
    sent = read(transcode(file_of(name).read_bytes(), ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    assert sent.LossyImageCompression == "01"


def test_lossless_compression_leaves_no_trace(transcode: Transcoder) -> None:
    sent = read(transcode(file_of("MR_small_RLE.dcm").read_bytes(), ExplicitVRLittleEndian), ExplicitVRLittleEndian)
    assert "LossyImageCompression" not in sent


def test_the_same_bytes_each_time(transcode: Transcoder) -> None:
    part10 = file_of("SC_rgb_small_odd_jpeg.dcm").read_bytes()
    first = transcode(part10, ExplicitVRLittleEndian)
    with Decoder() as other:
        assert transcoder(other)(part10, ExplicitVRLittleEndian) == first


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("CT_small.dcm", ImplicitVRLittleEndian),
        ("MR_small.dcm", ImplicitVRLittleEndian),
        ("MR_small_implicit.dcm", ExplicitVRLittleEndian),
        ("rtplan.dcm", ExplicitVRLittleEndian),
        ("image_dfl.dcm", ExplicitVRLittleEndian),
        ("image_dfl.dcm", ImplicitVRLittleEndian),
    ],
)
def test_native_data_sets_change_their_encoding_alone(name: str, target: str, transcode: Transcoder) -> None:
    file = file_of(name)
    original = dcmread(file)
    sent = read(transcode(file.read_bytes(), target), target)
    assert [e.tag for e in sent] == [e.tag for e in original if e.tag.element != 0]
    for element in sent:
        assert element.value == original[element.tag].value, element.tag


def test_there_and_back_gives_the_same_bytes(transcode: Transcoder) -> None:
    """A data set that pydicom wrote, explicit to implicit to explicit."""
    dataset = dcmread(file_of("CT_small.dcm"))
    del dataset[0xFFFCFFFC]
    dataset.remove_private_tags()  # their VRs do not survive implicit VR (PS3.5 6.2.2)
    stream = BytesIO()
    dataset.save_as(stream)
    implicit = transcode(stream.getvalue(), ImplicitVRLittleEndian)
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    head = BytesIO()
    dcmwrite(head, _bare(dataset.file_meta), enforce_file_format=False)
    back = transcode(head.getvalue() + implicit, ExplicitVRLittleEndian)
    assert back == data_set_bytes(stream.getvalue())


def changed(name: str, **values: object) -> bytes:
    dataset = dcmread(file_of(name))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    stream = BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("part10", "words"),
    [
        (lambda: file_of("ExplVR_BigEnd.dcm").read_bytes(), "big endian"),
        (lambda: file_of("MR_small_RLE.dcm").read_bytes()[:3000], "cannot be transcoded"),
        (lambda: changed("MR_small_RLE.dcm", Rows=63), "decod"),
        (lambda: changed("MR_small_RLE.dcm", BitsAllocated=1), "1 bits allocated"),
        (lambda: changed("SC_rgb_rle.dcm", PhotometricInterpretation="CMYK"), "CMYK"),
        (lambda: changed("emri_small_RLE.dcm", NumberOfFrames=11), "not 11 frames"),
        (lambda: b"no file", "cannot be transcoded"),
    ],
)
def test_what_cannot_be_transcoded_says_why(part10: object, words: str, transcode: Transcoder) -> None:
    with pytest.raises(CannotTranscode, match=words):
        transcode(part10(), ExplicitVRLittleEndian)  # type: ignore[operator]


def test_a_compressed_icon_is_not_taken_apart(transcode: Transcoder) -> None:
    icon = Dataset()
    icon["PixelData"] = dcmread(file_of("MR_small_RLE.dcm"))["PixelData"]
    with pytest.raises(CannotTranscode, match="icon"):
        transcode(changed("MR_small_RLE.dcm", IconImageSequence=[icon]), ExplicitVRLittleEndian)


def test_frames_have_a_common_budget() -> None:
    """120 frames of 900 KB each are more than half of this decoder's memory, though each alone is little."""
    limits = DecodeLimits(memory_bytes=200 << 20)
    with Decoder(limits) as small, pytest.raises(CannotTranscode, match="120 frames would take"):
        transcoder(small)(file_of("color3d_jpeg_baseline.dcm").read_bytes(), ExplicitVRLittleEndian)
