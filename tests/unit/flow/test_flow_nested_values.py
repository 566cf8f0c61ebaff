"""Sequences where text belongs, with a broken value deep inside: pydicom's text of one doubles at every level.

Twelve levels cost a second, sixty are never done with: nobody may ask for it.
"""

from io import BytesIO
from pathlib import Path
from struct import pack

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from support.derivations import file_of
from support.flowbench import FlowBench

from dicomnode.complete.facts import instance_facts
from dicomnode.deliver.transcode import CannotTranscode
from dicomnode.derive.encode import kept_elements
from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.readable import require_readable
from dicomnode.desk.series.drawing import Drawn, draw
from dicomnode.enhance.decode import DecodeLimits, Decoder, pixel_header
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels, SourceImage
from dicomnode.enhance.spot import spot_of
from dicomnode.enhance.window import Window
from dicomnode.flow.delivering.transcoding import transcoder
from dicomnode.receive.identity import identify_by_pydicom
from dicomnode.receive.store_request import Refused, StoreRequest
from dicomnode.store.header import read_header

LEVELS = 12
ITEM, OPEN = b"\xfe\xff\x00\xe0", b"\xff\xff\xff\xff"
CREATOR = 0x00090010

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")  # of values that are broken on purpose


def nested(tag: int) -> bytes:
    """This element as a sequence of undefined length, which pydicom opens at once, a broken US far inside it."""
    inner = pack("<HH2sH", 0x0008, 0x1197, b"US", 3) + b"abc"
    for _ in range(LEVELS):
        item = ITEM + pack("<L", len(inner)) + inner
        inner = pack("<HH2sHL", 0x0008, 0x1115, b"SQ", 0, len(item)) + item
    head = pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"SQ", 0) + OPEN
    return head + ITEM + pack("<L", len(inner)) + inner + b"\xfe\xff\xdd\xe0" + bytes(4)


def odd(keyword: str, image: Dataset | None = None) -> Dataset:
    """A header, of an image that is whole but for this element."""
    header = image or Dataset()
    header.update(read_header(BytesIO(nested(int(Tag(keyword)))), ExplicitVRLittleEndian))
    return header


@pytest.mark.parametrize("keyword", ["PatientName", "Modality", "StudyDescription"])
def test_the_index_keeps_no_text_of_it(tmp_path: Path, keyword: str) -> None:
    bench = FlowBench(tmp_path / "node")
    bench.receive(odd(keyword, dcmread(file_of("CT_small.dcm"))))
    assert (len(bench.instances()), "store.set_aside" in bench.events()) == (1, False)


def test_a_receiver_takes_it_for_no_name() -> None:
    request = StoreRequest("1.2", "1.2.3", "1.2", ExplicitVRLittleEndian)
    with pytest.raises(Refused, match="no usable Study UID"):
        identify_by_pydicom(request, BytesIO(nested(0x0020000D)))


@pytest.mark.parametrize("keyword", ["Modality", "PixelRepresentation", "ImageType"])
def test_facts_leave_its_depth_out(keyword: str) -> None:
    assert keyword in instance_facts(odd(keyword)).attributes


@pytest.mark.parametrize("keyword", ["PhotometricInterpretation", "BitsStored", "Rows"])
def test_pixels_under_it_are_not_decoded(keyword: str) -> None:
    image = odd(keyword, dcmread(file_of("CT_small.dcm")))
    with pytest.raises(CannotDecode, match=f"{keyword} is a sequence|header cannot be read"):
        pixel_header(image, DecodeLimits())
    assert len(spot_of(image).grid) > 1


def test_an_image_is_told_of_without_it() -> None:
    def load() -> Pixels:
        raise CannotDecode("it cannot be read")

    stack = [SourceImage("1.2.3", odd("InstanceNumber"), load)]
    with pytest.raises(CannotDecode, match=r"^image 0: it cannot be read$"):
        Window(stack, neighbours=0, physical=False).batch([0])


def test_pictures_are_drawn_without_it() -> None:
    for keyword in ("RescaleType", "Modality", "PhotometricInterpretation", "PixelSpacing", "WindowCenter"):
        drawn = draw(Drawn({"before": np.eye(8, dtype=np.float32)}, {"before": odd(keyword)}))
        assert (drawn.units, drawn.sizes["before"]) == ("", (8, 8))


@pytest.mark.parametrize("keyword", ["Modality", "ImageComments", "ReferencedSeriesSequence", "PatientName"])
def test_nothing_is_derived_from_it(keyword: str) -> None:
    with pytest.raises(CannotDerive, match=f"^{keyword} of the source cannot be read: [^\n]{{1,400}}"):
        require_readable(odd(keyword))


def test_a_private_creator_is_no_sequence() -> None:
    header = read_header(BytesIO(nested(CREATOR)), ExplicitVRLittleEndian)
    assert list(kept_elements(header, frozenset({"ACME"}))) == []


@pytest.mark.parametrize("keyword", ["ReferencedSeriesSequence", "StudyDescription"])
def test_it_is_not_transcoded(keyword: str) -> None:
    whole = dcmread(file_of("CT_small.dcm"))
    del whole[:0x00090000]
    whole.save_as(buffer := BytesIO())
    saved = buffer.getvalue()
    begin = 144 + int.from_bytes(saved[140:144], "little")
    part10 = saved[:begin] + nested(int(Tag(keyword))) + saved[begin:]
    with Decoder() as decoder, pytest.raises(CannotTranscode, match="nested more than 10 deep"):
        transcoder(decoder)(part10, ImplicitVRLittleEndian)
