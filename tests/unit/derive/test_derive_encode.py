"""Whatever the source's encoding, its values arrive: character sets, byte orders, private blocks, overlays."""

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian
from support.derivations import derivation_for, derive_again, file_of, parsed, pixels_of

from dicomnode.derive import derive_instance
from dicomnode.derive.encode import Encoding, element_bytes, packed

NAMES = [
    (["ISO_IR 100"], "Äneas^Rüdiger", "Schädel"),
    (["ISO_IR 192"], "Διονυσιος^山田", "頭部 CT"),
    (["ISO_IR 144"], "Люкceмбypг", "Голова"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", "頭部"),
    (["GB18030"], "Wang^XiaoDong=王^小东", "头部"),
]


@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize(("charset", "patient", "series"), NAMES)
def test_text_in_any_character_set(charset: list[str], patient: str, series: str, read_first: bool) -> None:
    source = dcmread(file_of("MR_small.dcm"))
    source.SpecificCharacterSet, source.PatientName, source.SeriesDescription = charset, patient, series
    source.save_as(stream := BytesIO())
    again = dcmread(BytesIO(stream.getvalue()))
    if read_first:
        assert again.PatientName == patient
    made = parsed(derive_again(again))
    assert made.SpecificCharacterSet == source.SpecificCharacterSet
    assert made.PatientName == patient
    assert made.SeriesDescription == f"{series} [AI denoise]"
    raw = dcmread(BytesIO(stream.getvalue())).get_item("PatientName").value
    assert raw.rstrip() in derive_again(again).file_bytes


def test_bytes_outside_the_named_character_set_are_kept() -> None:
    data = file_of("MR_small.dcm").read_bytes().replace(b"CompressedSamples^MR1", "Rüdiger^Äneas Jörg ".encode()[:21])
    source = dcmread(BytesIO(data))
    source.SpecificCharacterSet = None
    assert "Rüdiger".encode() in derive_again(source).file_bytes


def rewritten(source: Dataset, syntax: UID) -> Dataset:
    """The same values in another encoding, read back. Words in bytes have to be in the new order already."""
    plain = Dataset()
    plain.update({element.tag: element for element in source})
    plain.file_meta = source.file_meta
    plain.file_meta.TransferSyntaxUID = syntax
    dcmwrite(stream := BytesIO(), plain, enforce_file_format=True)
    return dcmread(BytesIO(stream.getvalue()))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_byte_orders_and_missing_vrs_arrive(syntax: UID) -> None:
    source = dcmread(file_of("CT_small.dcm"))
    del source[0xFFFC, 0xFFFC]
    source.remove_private_tags()
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTExplanation = [3, 0, 16], "three"
    lut.add_new("LUTData", "US", [1, 513, 65535])
    source.VOILUTSequence = [lut]
    source.add_new(0x60003000, "OW", b"\x01\x02\x03\x04")
    source.add_new(0x60000010, "US", 1)
    pixels = pixels_of(source)
    expected = parsed(derive_instance(source, pixels, derivation_for(source), units="stored", source_pixels=pixels))
    if syntax == ExplicitVRBigEndian:
        source.PixelData = pixels.astype(">i2").tobytes()
        source[0x60003000].value = b"\x02\x01\x04\x03"
    again = rewritten(source, syntax)
    assert np.array_equal(again.pixel_array, pixels)
    made = parsed(derive_instance(again, pixels, derivation_for(again), units="stored", source_pixels=pixels))
    assert made[0x60003000].value == b"\x01\x02\x03\x04"
    assert made.PixelPaddingValue == -2000
    got = made.VOILUTSequence[0]["LUTData"]
    assert (got.value if got.VR == "US" else list(np.frombuffer(got.value, "<u2"))) == [1, 513, 65535]
    del made.VOILUTSequence, expected.VOILUTSequence
    assert made == expected


def test_private_attributes_go_unless_their_creator_is_named() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    assert any(tag.is_private for tag in source.keys())  # noqa: SIM118
    assert not any(tag.is_private for tag in parsed(derive_again(source)).keys())  # noqa: SIM118
    kept = parsed(derive_again(source, {"keep_private": ("GEMS_ACQU_01",)}))
    block = kept.private_block(0x0019, "GEMS_ACQU_01")
    assert block[0x02].value == source.private_block(0x0019, "GEMS_ACQU_01")[0x02].value
    assert {tag.group for tag in kept.keys() if tag.is_private} == {0x0019}  # noqa: SIM118


def test_private_attributes_inside_sequences_go_too() -> None:
    source = dcmread(file_of("CT_small.dcm"))
    item = Dataset()
    item.ScheduledProcedureStepID = "S1"
    item.private_block(0x0029, "ACME", create=True).add_new(0x01, "LO", "secret")
    source.RequestAttributesSequence = [item]
    source.save_as(stream := BytesIO())
    again = dcmread(BytesIO(stream.getvalue()))
    (found,) = parsed(derive_again(again)).RequestAttributesSequence
    assert [element.keyword for element in found] == ["ScheduledProcedureStepID"]
    (found,) = parsed(derive_again(again, {"keep_private": ("ACME",)})).RequestAttributesSequence
    assert found.private_block(0x0029, "ACME")[0x01].value == "secret"
    assert len(source.RequestAttributesSequence[0]) == 3


def test_overlays_of_their_own_bits_stay_on_the_same_grid() -> None:
    source = dcmread(file_of("MR-SIEMENS-DICOM-WithOverlays.dcm"))
    pixels = pixels_of(source)
    assert parsed(derive_again(source))[0x60003000].value == source[0x60003000].value
    finer = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
    made = derive_instance(source, finer, derivation_for(source, same_grid=False), units="stored", source_pixels=pixels)
    assert not any(tag.group == 0x6000 for tag in parsed(made).keys())  # noqa: SIM118


def test_overlays_in_the_old_pixels_go() -> None:
    source = dcmread(file_of("MR-SIEMENS-DICOM-WithOverlays.dcm"))
    del source[0x60003000]
    source.add_new(0x60000102, "US", 12)
    assert not any(tag.group == 0x6000 for tag in parsed(derive_again(source)).keys())  # noqa: SIM118


@pytest.mark.parametrize(
    ("tag", "vr", "value", "written"),
    [
        (0x00080060, "CS", b"CT\0\0", b"CT"),
        (0x00080008, "CS", b"DERIVED \\PRIMARY ", b"DERIVED\\PRIMARY "),
        (0x00180050, "DS", b" 5.0 ", b"5.0 "),
        (0x00080018, "UI", b"1.2.3", b"1.2.3\0"),
        (0x00080060, "UN", b"CT", b"CT"),
        (0x00080060, "??", b"CT", b"CT"),
        (0x00204000, "LT", b"  indented\\text ", b"  indented\\text "),
        (0x00280010, "US", b"\x01\x00", b"\x01\x00"),
    ],
)
def test_padding_is_normalised_and_values_kept(tag: int, vr: str, value: bytes, written: bytes) -> None:
    raw = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    encoding = Encoding(implicit=False, little=True, signed=False, charset=("iso8859",))
    got = element_bytes(raw, encoding, frozenset())
    assert got[8:] == written
    assert got[4:6].decode() != "UN"


def test_odd_values_are_padded_by_their_kind() -> None:
    assert packed(0x00080060, "CS", b"CTX")[8:] == b"CTX "
    assert packed(0x00080018, "UI", b"1.2")[8:] == b"1.2\0"
    assert packed(0x7FE00010, "OB", b"\1\2\3")[8:] == b"\4\0\0\0\1\2\3\0"
