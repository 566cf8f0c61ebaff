"""Facts of instances and series, from built headers and from pydicom's own files."""

import json
import struct
import warnings
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.data import get_charset_files, get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage, EncapsulatedPDFStorage, ExplicitVRLittleEndian, SegmentationStorage

from dicomnode.complete.elements import MAX_COMPONENTS, MAX_TEXT
from dicomnode.complete.facts import Accumulator, combine, instance_facts
from dicomnode.domain.facts import COMPUTED_FACTS, SeriesFacts


def header(**elements: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    dataset.Rows = dataset.Columns = 512
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def as_sent(dataset: Dataset) -> Dataset:
    """The header as a reader has it: raw elements, nothing converted."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream)


def raw_element(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def stack(count: int, step: float = 2.5, orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)) -> list[Dataset]:
    normal = [orientation[1] * orientation[5] - orientation[2] * orientation[4],
              orientation[2] * orientation[3] - orientation[0] * orientation[5],
              orientation[0] * orientation[4] - orientation[1] * orientation[3]]  # fmt: skip
    return [
        header(
            SOPInstanceUID=f"1.2.{number}",
            InstanceNumber=number + 1,
            ImageOrientationPatient=list(orientation),
            ImagePositionPatient=[round(step * number * part, 6) for part in normal],
        )
        for number in range(count)
    ]


def test_values_keep_their_type_and_components():
    facts = instance_facts(
        as_sent(
            header(
                ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], SliceThickness="1.25", InstanceNumber="7", PatientName=""
            )
        )
    )
    assert facts.attributes["ImageType"].values == {("ORIGINAL", "PRIMARY", "AXIAL"): 1}
    assert facts.only("SliceThickness") == 1.25
    assert facts.only("InstanceNumber") == 7
    assert facts.only("Rows") == 512
    assert "PatientName" not in facts.attributes
    assert not [name for name in facts.attributes if name.startswith(("0002", "FileMeta", "TransferSyntax"))]


def test_private_elements_are_named_by_creator_wherever_their_block_landed():
    def scanned(block: int) -> SeriesFacts:
        dataset = header()
        dataset.add_new((0x0019, block), "LO", "SIEMENS MR HEADER")
        dataset.add_new((0x0019, block << 8 | 0x0C), "IS", "1000")
        return instance_facts(as_sent(dataset))

    assert scanned(0x10).attributes == scanned(0x23).attributes
    assert scanned(0x23).only("0019,100C|SIEMENS MR HEADER") == 1000
    assert "0019,0023" not in scanned(0x23).attributes


def test_private_element_without_creator_keeps_its_own_number():
    dataset = header()
    dataset.add_new((0x0019, 0x230C), "LO", "orphan")
    assert instance_facts(as_sent(dataset)).only("0019,230C") == "orphan"


def test_sequences_by_dotted_path_each_value_once_per_instance():
    def item(step: str) -> Dataset:
        inner = Dataset()
        inner.ScheduledProcedureStepID = step
        return inner

    dataset = as_sent(header(RequestAttributesSequence=Sequence([item("A"), item("B"), item("A")])))
    facts = instance_facts(dataset)
    path = "RequestAttributesSequence.ScheduledProcedureStepID"
    assert facts.attributes[path].values == {("A",): 1, ("B",): 1}
    assert facts.only("RequestAttributesSequence") == 3
    assert combine([facts, facts]).attributes[path].values == {("A",): 2, ("B",): 2}


def test_bulk_data_and_overlays_are_left_out_and_long_values_cut():
    dataset = header(ImageComments="x" * 5000, FrameTimeVector=[1.5] * 500)
    dataset.add_new(0x60003000, "OW", b"\0" * 64)
    dataset.add_new(0x60000010, "US", 8)
    dataset.add_new(0x00282000, "OB", b"icc" * 9)
    dataset.add_new(0x00283006, "OW", b"\1" * 512)
    dataset.add_new(0x7FE00010, "OW", b"\0" * 64)
    facts = instance_facts(as_sent(dataset))
    assert set(facts.attributes) == {
        "SOPClassUID", "SOPInstanceUID", "Modality", "Rows", "Columns", "ImageComments", "FrameTimeVector"
    }  # fmt: skip
    assert facts.only("ImageComments") == "x" * MAX_TEXT
    assert facts.attributes["FrameTimeVector"].values == {(1.5,) * MAX_COMPONENTS: 1}


def test_broken_values_are_kept_as_text_and_cost_nothing_else():
    body = b"".join(
        [
            raw_element(0x0008, 0x0016, b"UI", CTImageStorage.encode() + b"\0"),
            raw_element(0x0018, 0x0050, b"DS", b"thin  "),
            raw_element(0x0018, 0x0060, b"DS", b"nan "),
            raw_element(0x0018, 0x1151, b"IS", b"1.5 "),
            raw_element(0x0020, 0x0013, b"IS", b"9" * 400),
            raw_element(0x0020, 0x0032, b"DS", b"1\\x\\3 "),
            raw_element(0x0020, 0x0037, b"DS", b"1\\0\\0\\0\\1\\0 "),
            raw_element(0x0028, 0x0010, b"US", b"\x01"),
            raw_element(0x0028, 0x0030, b"DS", b"\\"),
            raw_element(0x0028, 0x1053, b"DS", b"\xff\xfe1 "),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = instance_facts(dcmread(BytesIO(body), force=True))
    assert facts.only("SliceThickness") == "thin"
    assert facts.only("KVP") == "nan"
    assert facts.only("XRayTubeCurrent") == 1.5
    assert facts.only("InstanceNumber") == "9" * 400
    assert facts.attributes["ImagePositionPatient"].values == {(1.0, "x", 3.0): 1}
    assert "PixelSpacing" not in facts.attributes
    assert "RescaleSlope" in facts.attributes
    assert facts.computed["orientation"] == "axial"
    assert facts.computed["position_count"] is None
    json.dumps(facts.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("charset", "raw", "text"),
    [
        (b"ISO_IR 192", "山田^太郎".encode(), "山田^太郎"),
        (b"ISO_IR 144", "Люкceмбypг".encode("iso8859_5"), "Люкceмбypг"),
        (b"GB18030 ", "王^小东".encode("gb18030"), "王^小东"),
        (b"\\ISO 2022 IR 87 ", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_in_other_alphabets(charset, raw, text):
    raw += b" " * (len(raw) % 2)
    body = raw_element(0x0008, 0x0005, b"CS", charset) + raw_element(0x0010, 0x0010, b"PN", raw)
    assert instance_facts(dcmread(BytesIO(body), force=True)).only("PatientName") == text


def test_text_that_no_database_takes_is_mended():
    dataset = header()
    dataset.ImageComments = "a\x00b \ud800"
    assert instance_facts(dataset).only("ImageComments") == "ab ?"


def test_single_precision_reads_as_written():
    dataset = header()
    dataset.add_new(0x00189087, "FD", 1000.25)
    dataset.add_new(0x00089459, "FL", 0.1)
    facts = instance_facts(as_sent(dataset))
    assert facts.only("DiffusionBValue") == 1000.25
    assert facts.only("RecommendedDisplayFrameRateInFloat") == 0.1


@pytest.mark.parametrize(
    ("elements", "images", "frames"),
    [
        ({}, 1, 1),
        ({"NumberOfFrames": 12}, 1, 12),
        ({"SOPClassUID": EncapsulatedPDFStorage}, 0, 0),
        ({"SOPClassUID": SegmentationStorage}, 0, 0),
        ({"SOPClassUID": "1.2.3.4.5"}, 1, 1),
        ({"Rows": 0}, 0, 0),
    ],
)
def test_images_are_counted_by_class_and_size(elements, images, frames):
    computed = instance_facts(header(**elements)).computed
    assert (computed["image_count"], computed["frame_count"]) == (images, frames)


def test_series_facts_count_values_and_absences():
    headers = [header(SliceThickness=1), header(SliceThickness=1), header(SliceThickness=5), header()]
    facts = combine(map(instance_facts, headers))
    assert facts.attributes["SliceThickness"].values == {(1.0,): 2, (5.0,): 1}
    assert facts.attributes["SliceThickness"].absent == 1
    assert facts.attributes["Modality"].absent == 0
    assert facts.computed["instance_count"] == 4


def test_receipt_facts_are_listed_sorted():
    accumulator = Accumulator()
    accumulator.add(header(), calling_aet="CT2 ", called_aet="NODE", transfer_syntax="1.2.840.10008.1.2.1")
    accumulator.add(header(), calling_aet="CT1", called_aet="NODE", transfer_syntax="1.2.840.10008.1.2")
    computed = accumulator.facts().computed
    assert computed["calling_aet"] == "CT1\\CT2"
    assert computed["called_aet"] == "NODE"
    assert computed["transfer_syntaxes"] == "1.2.840.10008.1.2\\1.2.840.10008.1.2.1"


@pytest.mark.parametrize(
    ("orientation", "name"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((1, 0, 0, 0, 0.9063, 0.4226), "axial"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0.7071, -0.7071), "oblique"),
    ],
)
def test_orientation_and_spacing_along_the_normal(orientation, name):
    computed = combine(map(instance_facts, stack(11, 2.5, orientation))).computed
    assert computed["orientation"] == name
    assert computed["position_count"] == 11
    assert computed["spacing_between_slices"] == pytest.approx(2.5, abs=1e-3)
    assert computed["spacing_uniform"] is True
    assert computed["coverage_mm"] == pytest.approx(25, abs=1e-2)


def test_a_missing_slice_two_echoes_and_a_localizer():
    slices = stack(10)
    gap = combine(map(instance_facts, slices[:4] + slices[5:])).computed
    assert (gap["spacing_between_slices"], gap["spacing_uniform"]) == (2.5, False)
    echoes = combine(map(instance_facts, slices + slices)).computed
    assert (echoes["spacing_between_slices"], echoes["spacing_uniform"], echoes["instance_count"]) == (2.5, True, 20)
    localizer = stack(1, orientation=(0, 1, 0, 0, 0, -1))[0]
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    mixed = combine(map(instance_facts, [*slices, localizer])).computed
    assert (mixed["orientation"], mixed["has_localizer"], mixed["spacing_uniform"]) == ("mixed", True, None)


@pytest.mark.filterwarnings("ignore:Invalid value for VR TM")
def test_duration_from_the_first_to_the_last_acquisition_time():
    times = ["112936.5", "112940", "113001.25", "later"]
    headers = [header(AcquisitionDate="20240131", AcquisitionTime=time) for time in times]
    assert combine(map(instance_facts, headers)).computed["duration_seconds"] == 24.75
    assert instance_facts(header()).computed["duration_seconds"] is None
    headers[0].AcquisitionDate = "20240130"
    assert combine(map(instance_facts, headers)).computed["duration_seconds"] is None
    stamped = [header(AcquisitionDateTime=f"2024013123595{second}+0100") for second in (1, 9)]
    assert combine(map(instance_facts, stamped)).computed["duration_seconds"] == 8


def test_frames_of_an_enhanced_image_have_positions():
    facts = instance_facts(dcmread(get_testdata_file("eCT_Supplemental.dcm", download=False), stop_before_pixels=True))
    assert facts.computed["frame_count"] == 2
    assert facts.computed["orientation"] == "axial"
    assert facts.computed["spacing_between_slices"] == 10.0


def test_computed_facts_are_the_closed_list():
    assert set(instance_facts(header()).computed) == set(COMPUTED_FACTS)
    assert set(combine([]).computed) == set(COMPUTED_FACTS)


def test_ten_thousand_instances():
    one = instance_facts(stack(1)[0]).to_json()
    accumulator = Accumulator()
    for number in range(10_000):
        one["attributes"]["SOPInstanceUID"]["values"][0]["value"] = [f"1.2.{number}"]
        accumulator.merge(SeriesFacts.from_json(one))
    facts = accumulator.facts()
    assert len(facts.attributes["SOPInstanceUID"].values) == facts.computed["instance_count"] == 10_000
    assert SeriesFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


HEADERS = st.lists(
    st.builds(
        lambda number, thickness, kind, place: header(
            InstanceNumber=number,
            **({"SliceThickness": thickness} if thickness else {}),
            ImageType=kind,
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, place],
        ),
        st.integers(1, 5),
        st.sampled_from([None, 1, 2.5]),
        st.lists(st.sampled_from(["ORIGINAL", "DERIVED", "AXIAL", "LOCALIZER"]), min_size=1, max_size=3),
        st.integers(-4, 4),
    ),
    min_size=1,
    max_size=6,
)


@given(HEADERS, st.integers(0, 6), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_combining_is_the_fold_of_instance_facts_in_any_order_and_grouping(headers, cut, random):
    accumulator = Accumulator()
    for one in headers:
        accumulator.add(one, calling_aet=f"CT{one.InstanceNumber}")
    together = accumulator.facts()
    ones = [instance_facts(one, calling_aet=f"CT{one.InstanceNumber}") for one in headers]
    random.shuffle(ones)
    assert combine(ones) == together
    assert combine([combine(ones[:cut]), combine(ones[cut:])]) == together
    assert SeriesFacts.from_json(json.loads(json.dumps(together.to_json()))) == together
    if len(headers) == 1:
        assert together == ones[0]


SHIPPED = Path(str(get_testdata_file("CT_small.dcm", download=False))).parent
FILES = sorted({*SHIPPED.glob("*.dcm"), *map(Path, get_charset_files("*.dcm"))})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_pydicom_has_facts_that_survive_json(path):
    dataset = dcmread(path, force=True, stop_before_pixels=True)
    facts = instance_facts(dataset)
    text = json.dumps(facts.to_json(), allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text
    assert SeriesFacts.from_json(json.loads(text)) == facts
    assert len(text) < 1_000_000
    if dataset.get("PatientName"):
        assert facts.only("PatientName") == str(dataset.PatientName).strip()
