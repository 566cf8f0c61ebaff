"""Slices before, after, and what changed: drawn from real files by what the node's own flow made of them."""

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import UID
from support.derivations import file_of
from support.flowbench import FlowBench
from support.series import make_ct_series
from support.series import uid as uid_of

from dicomnode.db.models import Instance, Output
from dicomnode.db.repositories import audit as audit_rows
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.desk.series.drawing import LONGEST, Pictures
from dicomnode.desk.series.pictures import Gallery

pytestmark = pytest.mark.torch

ADA = Person("ada", ("radiologist",))
LIFT = """
from dicomnode.enhance.api import Acceptance, GuardLimits, Pipeline

class Lift(Pipeline):
    name, version, title, precision = "lift", "1.0.0", "Lift", "float32"
    guards = GuardLimits()
    def accepts(self, series):
        return Acceptance.yes()
    def enhance(self, slices, params):
        made = slices[:, 0].clone()
        made[:, :16, :] += 20
        return made
"""


def rule(pipeline: str) -> str:
    return (
        f"\n  - {{name: all, state: live, when: {{all: []}}, enhance: {{pipeline: {pipeline}}}, deliver_to: [pacs]}}\n"
    )


def worked(root: Path, pipeline: str, files: list[Path]) -> tuple[FlowBench, str]:
    bench = FlowBench(root, rule(pipeline), LIFT)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    return bench, bench.series()[0].uid


def pixels(png: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.asarray(Image.open(BytesIO(png)))


def drawn(bench: FlowBench, uid: str, job: int = 1, number: int | None = None, frame: int | None = None) -> Pictures:
    gallery = Gallery(bench.flow)
    try:
        return gallery.draw(gallery.find(ADA, uid, job, number, frame))
    finally:
        gallery.close()


def test_what_changes_nothing_has_a_flat_difference(tmp_path: Path) -> None:
    bench, uid = worked(tmp_path / "node", "passthrough", make_ct_series(tmp_path, 3, rows=64))
    found = drawn(bench, uid)
    assert np.array_equal(pixels(found.png["before"]), pixels(found.png["after"]))
    assert pixels(found.png["before"]).std() > 10
    assert np.unique(pixels(found.png["difference"])).tolist() == [128]
    assert (found.units, found.missing) == ("HU", {})


def test_what_changed_is_seen_where_it_changed_and_by_how_much(tmp_path: Path) -> None:
    bench, uid = worked(tmp_path / "node", "lift", make_ct_series(tmp_path, 3, rows=64))
    assert [row.state for row in bench.enhancements()] == ["done"]
    found = drawn(bench, uid)
    change = pixels(found.png["difference"]).astype(float)
    assert found.scale == 20
    assert change[:16].min() > 250
    assert np.abs(change[16:] - 127.5).max() <= 4  # half a HU of rounding, of 20


def test_before_and_after_have_the_window_of_the_header(tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 1, rows=64)
    dataset = dcmread(files[0])
    dataset.WindowCenter, dataset.WindowWidth = [40, 600], [400, 1500]
    dataset.save_as(files[0])
    bench, uid = worked(tmp_path / "node", "passthrough", files)
    found = drawn(bench, uid)
    assert (found.low, found.high) == (-160, 240)
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    expected = np.rint(np.clip((hu + 160) / 400, 0, 1) * 255)
    assert np.abs(pixels(found.png["before"]) - expected).max() <= 1


def test_slices_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 5, rows=32)
    bench, uid = worked(tmp_path / "node", "passthrough", files[::-1])
    gallery = Gallery(bench.flow)
    shelves = [gallery.find(ADA, uid, 1, number) for number in range(1, 6)]
    assert [shelf.slice.source.instance_number for shelf in shelves] == [1, 2, 3, 4, 5]
    assert all(
        shelf.slice.output and shelf.slice.output.source_sop_uid == shelf.slice.source.sop_uid for shelf in shelves
    )
    assert gallery.find(ADA, uid, 1).number == 3
    for number in (0, 6):
        with pytest.raises(Refused, match="there are 5"):
            gallery.find(ADA, uid, 1, number)
    with pytest.raises(Refused, match="job 7 made no images"):
        gallery.find(ADA, uid, 7)


@pytest.mark.parametrize("file", ["US1_J2KR.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb.dcm", "CT_small.dcm"])
def test_real_files_are_drawn_compressed_ones_and_colour_too(tmp_path: Path, file: str) -> None:
    bench = FlowBench(tmp_path / "node")
    bench.receive(dcmread(file_of(file)))
    found = drawn(bench, bench.series()[0].uid, job=0)
    assert found.missing == {}
    assert set(found.png) == {"before"}
    picture = pixels(found.png["before"])
    assert picture.std() > 1
    assert max(picture.shape) <= LONGEST


@pytest.mark.parametrize("file", ["emri_small.dcm", "emri_small_RLE.dcm", "emri_small_big_endian.dcm", "liver.dcm"])
def test_frames_are_drawn_one_by_one_the_middle_one_first(tmp_path: Path, file: str) -> None:
    dataset = dcmread(file_of(file))
    stored, count = dataset.pixel_array.astype(float), int(dataset.NumberOfFrames)
    bench = FlowBench(tmp_path / "node")
    bench.receive(dataset)
    gallery, uid = Gallery(bench.flow), bench.series()[0].uid
    for asked, shown in ((None, (count + 1) // 2), (1, 1), (count, count), (count + 7, count)):
        found = gallery.draw(gallery.find(ADA, uid, 0, frame=asked))
        assert (found.frame, found.frames, found.missing) == (shown, count, {})
        frame = stored[shown - 1]
        expected = np.clip((frame - found.low) / (found.high - found.low), 0, 1) * 255
        assert np.abs(pixels(found.png["before"]) - expected).max() <= 1


def test_a_frame_is_read_by_its_functional_groups(tmp_path: Path) -> None:
    dataset = dcmread(file_of("eCT_Supplemental.dcm"))
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
        group.FrameVOILUTSequence = [window := Dataset()]
        window.WindowCenter, window.WindowWidth = 30 + number, 80
    bench = FlowBench(tmp_path / "node")
    bench.receive(dataset)
    found = [drawn(bench, bench.series()[0].uid, job=0, frame=frame) for frame in (1, 2)]
    assert [(each.low, each.high) for each in found] == [(-9, 71), (-8, 72)]


def test_who_goes_through_frames_starts_one_decoding_process(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    bench.receive(dcmread(file_of("emri_small_RLE.dcm")))
    gallery = Gallery(bench.flow)
    shown = []
    for frame in (None, 5, 1, 2):
        gallery.draw(gallery.find(ADA, bench.series()[0].uid, 0, frame=frame))
        shown.append(gallery._decoder.process.pid)
    assert shown[0]
    assert set(shown) == {shown[0]}
    gallery.close()
    assert gallery._decoder.process.pid is None


def test_frames_that_are_not_there_say_so(tmp_path: Path) -> None:
    dataset = dcmread(file_of("emri_small.dcm"))
    dataset.NumberOfFrames = 40
    bench = FlowBench(tmp_path / "node")
    bench.receive(dataset)
    found = drawn(bench, bench.series()[0].uid, job=0)
    assert (found.frame, found.frames) == (20, 40)
    assert "ends before frame 20 does" in found.missing["before"]
    assert drawn(bench, bench.series()[0].uid, job=0, frame=10).missing == {}


def test_pixels_that_are_not_square_are_drawn_at_their_proportions(tmp_path: Path) -> None:
    dataset = dcmread(file_of("CT_small.dcm"))
    bench = FlowBench(tmp_path / "node")
    for spacing, size in (([2, 1], (128, 256)), ([1, 0.1], (128, 128)), ([8, 1], (64, 512))):
        dataset.PixelSpacing = spacing
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid_of("spaced", *spacing))
        dataset.SeriesInstanceUID = uid_of("series", *spacing)
        bench.receive(dataset)
        assert drawn(bench, str(dataset.SeriesInstanceUID), job=0).sizes == {"before": size}


def test_what_cannot_be_drawn_says_why(tmp_path: Path) -> None:
    bench, uid = worked(tmp_path / "node", "passthrough", make_ct_series(tmp_path, 1, rows=32))
    with bench.flow.database.write() as session:
        made = session.get_one(Output, bench.outputs()[0].id)
        made.purged_at = bench.series()[0].last_arrival_at
    found = drawn(bench, uid)
    assert set(found.png) == {"before"}
    assert found.missing == {"after": "retention gave up its bytes"}
    with bench.flow.database.write() as session:
        session.get_one(Instance, bench.instances()[0].sop_uid).fault = "damaged"
    assert drawn(bench, uid).missing["before"] == "it is damaged"


def test_bytes_that_are_no_image_say_so(tmp_path: Path) -> None:
    dataset = dcmread(file_of("CT_small.dcm"))
    dataset.PixelData = dataset.PixelData[:100]
    bench = FlowBench(tmp_path / "node")
    bench.receive(dataset)
    assert "cannot be read" in drawn(bench, bench.series()[0].uid, job=0).missing["before"]


def test_a_look_at_many_slices_is_one_look(tmp_path: Path) -> None:
    bench, uid = worked(tmp_path / "node", "passthrough", make_ct_series(tmp_path, 3, rows=32))
    gallery = Gallery(bench.flow)
    for number in (1, 2, 3):
        gallery.draw(gallery.find(ADA, uid, 1, number))
    with bench.flow.database.read() as session:
        looks = audit_rows.listing(session, limit=9, kind="image.viewed")
    assert [(row.actor, row.series_uid) for row in looks] == [("ada", uid)]


def test_drawing_loads_no_network() -> None:
    code = "import dicomnode.desk.series.pictures, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
