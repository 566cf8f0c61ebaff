"""A known UID in other bytes: the same pixels or not, whatever these bytes are, and at a price that has a bound."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    XRayRadiationDoseSRStorage,
)
from sqlalchemy import select
from support.flowbench import FlowBench

from dicomnode.db.models import InstanceVersion
from dicomnode.domain.instance import Location, Receipt
from dicomnode.enhance import decode_process
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode, DecoderEnded
from dicomnode.flow.upkeep import comparison
from dicomnode.flow.upkeep.comparison import same_pixels

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # of lengths that are odd on purpose

ITEM, OPEN = b"\xfe\xff\x00\xe0", b"\xff\xff\xff\xff"
UNCLOSED = ITEM + OPEN + b"\x28\0\x01\x01OB\0\0" + OPEN + b"abcd"
"""Of this pydicom says OSError."""
BROKEN = {
    "an odd length of US": (b"US", b"abc", b"abcdef7"),
    "an odd length of FD": (b"FD", b"12", b"123456789012"),
    "an unclosed sequence": (b"SQ", ITEM + OPEN, ITEM + OPEN * 2),
    "an unclosed element in it": (b"SQ", UNCLOSED, UNCLOSED + UNCLOSED),
    "no sequence": (b"SQ", b"abcdefgh", b"abcdefghabcdefgh"),
    "sequences without end": (b"SQ", (ITEM + OPEN + b"\x08\0\x15\x11SQ\0\0" + OPEN) * 2000, ITEM + OPEN),
    "no VR": (b"\0\0", b"", b"ab"),
}
BITS_STORED = 0x00280101
OTHER_PLAIN = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
COMPRESSED = [RLELossless, JPEG2000Lossless]


class Bench(FlowBench):
    """Stores data sets of one UID; `compare` says whether the second shows the same."""

    def store(self, dataset: Dataset, behind: bytes = b"") -> Location:
        buffer = BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        whole = buffer.getvalue()
        data_set = whole[144 + int.from_bytes(whole[140:144], "little") :] + behind
        receipt = Receipt(
            sop_class_uid=str(dataset.SOPClassUID),
            sop_instance_uid=str(dataset.SOPInstanceUID),
            study_uid=str(dataset.StudyInstanceUID),
            series_uid=str(dataset.SeriesInstanceUID),
            transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
            length=len(data_set),
            sha256="",
            calling_aet="CT1",
            called_aet="NODE",
            peer="127.0.0.1",
            association="a-1",
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        return self.journal.append(receipt, data_set)

    def compare(self, first: Location, second: Location) -> bool:
        return same_pixels(self.flow, self.decoder, first, second)

    def kinds(self) -> list[str]:
        with self.flow.database.read() as session:
            return list(session.scalars(select(InstanceVersion.kind)))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("comparison") / "node")
    yield made
    made.decoder.close()


def ct(syntax: UID = ExplicitVRLittleEndian, *, first_pixel: int | None = None) -> Dataset:
    """CT_small in this transfer syntax."""
    image = dcmread(get_testdata_file("CT_small.dcm", download=False))
    if first_pixel is not None:
        image.PixelData = pack("<h", first_pixel) + image.PixelData[2:]
    if syntax in COMPRESSED:
        image.compress(syntax, generate_instance_uid=False)
    if syntax != ExplicitVRBigEndian:
        image.file_meta.TransferSyntaxUID = syntax
        return image
    turned = Dataset()  # a data set that was read keeps the byte order it came in
    turned.update(image)
    turned.PixelData = image.pixel_array.astype(">i2").tobytes()
    turned.file_meta = image.file_meta
    turned.file_meta.TransferSyntaxUID = syntax
    return turned


def without_pixels() -> Dataset:
    image = ct()
    del image.PixelData
    del image.DataSetTrailingPadding
    return image


def element(vr: bytes, value: bytes, number: int = 0x0010) -> bytes:
    is_long = vr in (b"SQ", b"OB", b"OW", b"OF", b"UN")
    length = pack("<HL", 0, len(value)) if is_long else pack("<H", len(value))
    return pack("<HH", 0x7FE0, number) + vr + length + value


def encapsulated(value: bytes) -> bytes:
    return pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" + OPEN + value + b"\xfe\xff\xdd\xe0" + bytes(4)


@pytest.mark.parametrize("syntax", [*OTHER_PLAIN, *COMPRESSED], ids=lambda uid: uid.name)
def test_the_same_pixels_in_another_transfer_syntax_are_the_same(bench: Bench, syntax: UID) -> None:
    first = bench.store(ct())
    assert bench.compare(first, bench.store(ct(syntax)))
    assert not bench.compare(first, bench.store(ct(syntax, first_pixel=-5)))


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_read_is_not_the_same_as_anything(bench: Bench, case: str) -> None:
    vr, one, other = BROKEN[case]
    locations = [bench.store(without_pixels(), element(vr, value)) for value in (one, other)]
    assert not bench.compare(*locations)
    whole = bench.store(ct())
    assert not bench.compare(locations[0], whole)
    assert not bench.compare(whole, locations[1])


@pytest.mark.parametrize("case", BROKEN)
def test_the_index_keeps_it_as_a_conflict_and_sets_nothing_aside(tmp_path: Path, case: str) -> None:
    vr, one, other = BROKEN[case]
    bench = Bench(tmp_path / "node")
    for value in (one, other):
        bench.store(without_pixels(), element(vr, value))
    bench.indexer.run()
    assert (len(bench.instances()), bench.kinds()) == (1, ["conflict"])
    assert "store.set_aside" not in bench.events()


def test_what_stands_behind_equal_pixels_is_not_read(bench: Bench) -> None:
    character_set = pack("<HH2sH", 0x0008, 0x0005, b"CS", 6) + b"\\\\\\\\\\\\"
    assert bench.compare(bench.store(ct()), bench.store(ct(), character_set))


def test_pixels_of_floating_point_are_compared_as_they_lie(bench: Bench) -> None:
    one, other = (bench.store(without_pixels(), element(b"OF", bytes([n] * 8), 0x0008)) for n in (1, 2))
    assert not bench.compare(one, other)
    assert bench.compare(one, bench.store(without_pixels(), element(b"OF", bytes([1] * 8), 0x0008)))


def test_without_pixels_there_is_nothing_to_differ(bench: Bench) -> None:
    assert bench.compare(bench.store(without_pixels()), bench.store(without_pixels()))


def report(
    syntax: UID = ExplicitVRLittleEndian, *, number: int = 1, patient: str = "P1", behind: bytes = b""
) -> Dataset:
    """A structured report with `number` in its second level, and `behind` where an image's pixels would be passed."""
    inner, outer, document = Dataset(), Dataset(), Dataset()
    inner.NumericValue, inner.ReferencedFrameNumber, inner.FloatingPointValue = "1.50", number, 1.5
    outer.ContentSequence, outer.TextValue = [inner], "said"
    document.SOPClassUID, document.SOPInstanceUID = XRayRadiationDoseSRStorage, "1.2.3.4"
    document.StudyInstanceUID, document.SeriesInstanceUID = "1.2.3", "1.2.3.9"
    document.PatientID, document.ContentSequence = patient, [outer]
    if behind:
        document.add_new(0x7FE10010, "LO", "ACME")
        document.add_new(0x7FE11001, "OB", behind)
    document.file_meta = FileMetaDataset()
    document.file_meta.MediaStorageSOPClassUID = document.SOPClassUID
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    document.file_meta.TransferSyntaxUID = syntax
    return document


@pytest.mark.parametrize("syntax", OTHER_PLAIN, ids=lambda uid: uid.name)
def test_of_what_has_no_pixels_the_headers_decide(tmp_path: Path, syntax: UID) -> None:
    bench = Bench(tmp_path / "node")
    for again in (report(), report(syntax), report(syntax, patient="P2"), report(syntax, number=2)):
        bench.receive(again)
    assert bench.kinds() == ["variant", "correction", "conflict"]
    bench.receive(report(syntax, behind=b"12"))
    assert bench.kinds()[3:] == ["conflict"]


def test_a_disk_that_fails_is_no_conflict(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "node")
    first, second = bench.store(ct()), bench.store(ct(ImplicitVRLittleEndian))
    container = bench.flow.root / second.container
    kept = container.read_bytes()
    container.unlink()
    container.mkdir()
    with pytest.raises(IsADirectoryError):
        bench.compare(first, second)
    container.rmdir()
    container.write_bytes(kept[: second.offset + second.length - 1])
    with pytest.raises(EOFError):
        bench.compare(first, second)


def test_a_decoder_that_cannot_start_is_no_conflict(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = bench.store(ct()), bench.store(ct(RLELossless))
    monkeypatch.setattr(sys, "executable", "/")
    with Decoder() as decoder, pytest.raises(PermissionError):
        same_pixels(bench.flow, decoder, first, second)


def test_a_decoder_that_is_gone_is_not_taken_for_a_lost_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "node")
    bench.receive(ct())
    python = sys.executable
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        bench.receive(ct(RLELossless))
    assert (bench.kinds(), "store.set_aside" in bench.events()) == ([], False)
    monkeypatch.setattr(sys, "executable", python)
    with bench.decoder:
        bench.indexer.run()
    assert bench.kinds() == ["variant"]


@pytest.mark.parametrize(("killed", "are_same"), [(1, True), (2, False)])
def test_a_decoder_that_was_killed_is_asked_once_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, killed: int, are_same: bool
) -> None:
    first, second = bench.store(ct()), bench.store(ct(RLELossless))
    start, started = decode_process._start, list[subprocess.Popen[bytes]]()

    def starting(memory_bytes: int) -> subprocess.Popen[bytes]:
        child = start(memory_bytes)
        started.append(child)
        if len(started) <= killed:
            child.kill()
        return child

    monkeypatch.setattr(decode_process, "_start", starting)
    with Decoder() as decoder:
        assert same_pixels(bench.flow, decoder, first, second) is are_same
    assert len(started) == 2, "and no third time"


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGKILL, DecoderEnded), (signal.SIGXCPU, CannotDecode)])
def test_only_cpu_time_is_the_images_own(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals, kind: type[CannotDecode]
) -> None:
    start = decode_process._start

    def starting(memory_bytes: int) -> subprocess.Popen[bytes]:
        child = start(memory_bytes)
        child.send_signal(number)
        return child

    monkeypatch.setattr(decode_process, "_start", starting)
    with Decoder() as decoder, pytest.raises(CannotDecode) as raised:
        decoder.decode(ct(RLELossless))
    assert raised.type is kind


@pytest.mark.parametrize("vr", [b"SQ", b"US", b"LO"])
def test_an_odd_value_of_the_pixel_module_is_content_too(bench: Bench, vr: bytes) -> None:
    image = ct(RLELossless)
    pixels = encapsulated(image.PixelData)
    for tag in [each.tag for each in image if each.tag >= BITS_STORED]:
        del image[tag]
    odd = pack("<HH", BITS_STORED >> 16, BITS_STORED & 0xFFFF) + vr
    odd += pack("<HL", 0, len(UNCLOSED)) + UNCLOSED if vr == b"SQ" else pack("<H", 3) + b"abc"
    assert not bench.compare(bench.store(ct()), bench.store(image, odd + pixels))


def large(syntax: UID, frames: int, pixels: bytes) -> Dataset:
    image = ct()
    image.NumberOfFrames, image.Rows, image.Columns = frames, 5000, 5000
    image.file_meta.TransferSyntaxUID = syntax
    image.PixelData = encapsulate([pixels]) if syntax.is_compressed else pixels
    image["PixelData"].is_undefined_length = syntax.is_compressed
    return image


def test_a_large_image_is_not_decoded_but_compared_as_it_lies(bench: Bench) -> None:
    one, same, other = (bench.store(large(JPEG2000Lossless, 1, bytes([n] * 50))) for n in (1, 1, 2))
    with Decoder() as decoder:
        assert same_pixels(bench.flow, decoder, one, same)
        assert not same_pixels(bench.flow, decoder, one, other)
        assert decoder.process.pid is None, "nobody was asked to decode it"


def test_frames_are_compared_piece_by_piece_in_either_vr(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomnode.flow.upkeep.payload._CHUNK", 1000)
    monkeypatch.setattr(comparison, "MAX_DECODED_BYTES", 1000)
    pixels = bytes(range(250)) * 9
    one = bench.store(large(ExplicitVRLittleEndian, 3, pixels))
    assert bench.compare(one, bench.store(large(ImplicitVRLittleEndian, 3, pixels)))
    assert not bench.compare(one, bench.store(large(ImplicitVRLittleEndian, 3, pixels[:-1] + b"\0")))
    assert not bench.compare(one, bench.store(large(ImplicitVRLittleEndian, 3, pixels + b"\0\0")))
