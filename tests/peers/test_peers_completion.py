"""When a series counts as complete: evidence first, quiet time otherwise, and never a failure for what is no image."""

import time
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faults.scenario import ask
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian, KeyObjectSelectionDocumentStorage
from sqlalchemy import select
from support.mainflow import (
    IS_CT,
    add_pipeline,
    destination,
    enhancing,
    held_of,
    progress,
    rewriting,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
    wait_complete,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import raw_file
from support.rawsend import RawSender
from support.series import make_ct_series, make_mixed_study, uid

from dicomnode.db.models import Series

pytestmark = pytest.mark.peers

COMPLETION = {"quiet_seconds": 300.0, "grace_seconds": 0.3}
"""Within a test a series completes by evidence only, or when `quiet_passes`."""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(orthanc: Orthanc) -> Iterator[RecordingProxy]:
    with RecordingProxy(orthanc.dicom_port) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: Orthanc, proxy: RecordingProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """`soften` takes CT and leaves localizers out; whatever else comes is offered to `passthrough`."""
    rules = [enhancing("soften"), enhancing("passthrough", when={"not": IS_CT})]
    document = site([destination("pacs", orthanc.ae_title, proxy.port)], rules)
    node = Node(tmp_path_factory.mktemp("node"), site_yaml=document, completion=COMPLETION)
    add_pipeline(node)
    with node:
        yield node


def wait_indexed(node: Node, series: str, instances: int = 1, generation: int = 0) -> None:
    """Until the index knows so many instances of the series, which is not complete."""
    count = "SELECT count(*) FROM instance WHERE series_uid = ?"
    node.wait_until(lambda: ask(node, count, series)[0][0] >= instances, 60.0, "the index")
    assert progress(node, series) == ("receiving", generation)


def quiet_passes(node: Node, series: str, *, in_seconds: float = 0.0) -> datetime:
    """No instance came for 300 s, or will not have come in a moment. Returns when the series is due."""
    with rewriting(node) as session:
        row = session.scalars(select(Series).where(Series.uid == series)).one()
        at = row.due_at = row.quiet_at = datetime.now(UTC) + timedelta(seconds=in_seconds)
    return at


def test_one_association_per_instance_gives_one_generation(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 6, rows=64, seed=1)
    for file in files:
        send(node, [file])
    wait_indexed(node, series_uid(files[0]), 6)
    quiet_passes(node, series_uid(files[0]))
    wait_complete(node, series_uid(files[0]))
    document = shown(node, series_uid(files[0]))
    assert (document["state"], document["generation"], document["instances"]) == ("complete", 1, 6)
    assert document["reason"] == "no instance for 300 s"


def test_the_announced_images_complete_it_once_the_association_is_closed(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 5, rows=64, seed=2, images_in_acquisition=True)
    series = series_uid(files[0])
    with RawSender("127.0.0.1", node.dicom_port, node.ae_title, "MODALITY") as sender:
        for raw in map(raw_file, files):
            assert sender.store(raw.sop_class, raw.sop_uid, raw.transfer_syntax, raw.data_set) == 0
        wait_indexed(node, series, 5)
        time.sleep(1.0)
        assert progress(node, series) == ("receiving", 0)
    wait_complete(node, series)
    assert shown(node, series)["reason"] == "all 5 images the modality announced have arrived"


def test_all_but_one_of_the_announced_images_complete_nothing(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 5, rows=64, seed=3, images_in_acquisition=True)
    send(node, files[:4])
    wait_indexed(node, series_uid(files[0]), 4)
    time.sleep(1.0)
    assert progress(node, series_uid(files[0])) == ("receiving", 0)


def test_a_manifest_completes_what_it_lists(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", 3, rows=64, seed=4)
    send(node, files[:2])
    send(node, [manifest(files, tmp_path / "kos.dcm")])
    wait_indexed(node, series_uid(files[0]), 2)
    time.sleep(1.0)
    assert progress(node, series_uid(files[0])) == ("receiving", 0)
    send(node, files[2:])
    wait_complete(node, series_uid(files[0]))
    reason = "all 3 instances listed by the key object document have arrived"
    assert shown(node, series_uid(files[0]))["reason"] == reason


def manifest(files: list[Path], path: Path) -> Path:
    """A Key Object Selection document, titled Complete Acquisition Content, that lists these files."""
    first = dcmread(files[0])
    kos = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber"):
        setattr(kos, keyword, first.get(keyword))
    kos.SOPClassUID, kos.SOPInstanceUID = KeyObjectSelectionDocumentStorage, uid(path)
    kos.SeriesInstanceUID, kos.Modality, kos.SeriesNumber, kos.InstanceNumber = uid(path, "series"), "KO", 900, 1
    kos.ValueType, kos.ConceptNameCodeSequence = "CONTAINER", [Dataset()]
    title = kos.ConceptNameCodeSequence[0]
    title.CodeValue, title.CodingSchemeDesignator = "113032", "DCM"
    title.CodeMeaning = "Complete Acquisition Content"
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = first.SeriesInstanceUID, []
    for sop_uid in sop_uids(files):
        series.ReferencedSOPSequence.append(item := Dataset())
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = first.SOPClassUID, sop_uid
    study.StudyInstanceUID, study.ReferencedSeriesSequence = first.StudyInstanceUID, [series]
    kos.CurrentRequestedProcedureEvidenceSequence = [study]
    kos.ensure_file_meta()
    kos.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kos.save_as(path, enforce_file_format=True)
    return path


def test_an_operator_completes_it_by_command(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 3, rows=64, seed=5)
    series = series_uid(files[0])
    send(node, files)
    wait_indexed(node, series, 3)
    assert node.cli("series", "complete", series) == {"uid": series, "ok": True}
    wait_complete(node, series)
    assert shown(node, series)["reason"].endswith("(command line) asked for completion")
    again = node.cli("series", "complete", series, check=False)
    assert again.returncode == 1
    assert again.stderr == "dicomnode: the series is already complete (generation 1)\n"


def test_a_late_instance_joins_the_same_derived_series(
    node: Node, proxy: RecordingProxy, orthanc: Orthanc, tmp_path: Path
) -> None:
    files = make_ct_series(tmp_path, 5, rows=64, seed=6)
    series, study = series_uid(files[0]), raw_file(files[0]).study_uid
    send(node, files[:4])
    wait_indexed(node, series, 4)
    quiet_passes(node, series)
    node.wait_until(lambda: len(held_of(orthanc, study)) == 4, 60.0, "the first four")
    send(node, files[4:])
    wait_indexed(node, series, 5, generation=1)
    quiet_passes(node, series)
    wait_complete(node, series, 2)
    node.wait_until(lambda: len(held_of(orthanc, study)) == 5, 60.0, "the late one")
    (derived,) = orthanc.series(study)
    assert [len(proxy.of(uid)) for uid in orthanc.sop_uids(derived)] == [1] * 5
    proxy.assert_no_violations()
    story = [event["kind"] for event in shown(node, series)["story"]]
    assert story.count("series.late") == 1
    assert story.count("series.complete") == 2


def test_a_mixed_study_fails_nothing(node: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    study = make_mixed_study(tmp_path, n=6, rows=64, seed=7)
    stray = dcmread(study["localizer"][0])
    stray.SeriesInstanceUID, stray.SOPInstanceUID = series_uid(study["ct"][0]), uid("stray localizer")
    stray.file_meta.MediaStorageSOPInstanceUID = stray.SOPInstanceUID
    stray.save_as(tmp_path / "stray.dcm")
    send(node, [file for files in study.values() for file in files] + [tmp_path / "stray.dcm"])
    kinds = {kind: series_uid(files[0]) for kind, files in study.items()}
    for kind, series in kinds.items():
        wait_indexed(node, series, 7 if kind == "ct" else 1)
        quiet_passes(node, series)
    for series in kinds.values():
        wait_complete(node, series)
    node.wait_until(lambda: len(held_of(orthanc, stray.StudyInstanceUID)) == 6, 60.0, "the derived series")
    jobs = node.wait_until(lambda: jobs_over(node, kinds.values()), 60.0, "the end of every job")
    assert jobs[kinds["ct"]]["state"] == "done"
    assert jobs[kinds["ct"]]["measured"]["skipped"] == {stray.SOPInstanceUID: "a localizer"}
    assert jobs[kinds["localizer"]]["state"] == "withheld"
    assert "a localizer" in jobs[kinds["localizer"]]["reason"]
    assert jobs.keys() == {kinds["ct"], kinds["localizer"]}
    assert len(orthanc.series(stray.StudyInstanceUID)) == 1
    for kind in ("sr", "pdf", "dose"):
        outcomes = [one["outcome"] for one in shown(node, kinds[kind])["decisions"]]
        assert "matches, but passthrough declines: the series holds no images" in outcomes


def jobs_over(node: Node, series: Collection[str]) -> dict[str, dict[str, Any]] | None:
    """The jobs of these series, by series, once none of them is to be done."""
    jobs = {job["series_uid"]: job for job in node.cli("jobs", "list") if job["series_uid"] in series}
    return None if {job["state"] for job in jobs.values()} & {"ready", "running"} else jobs


def test_a_kill_inside_the_quiet_time_forgets_no_timer(node: Node, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path, 3, rows=64, seed=8)
    series = series_uid(files[0])
    send(node, files)
    wait_indexed(node, series, 3)
    last_arrival, timer = timers(node, series)
    assert timer - last_arrival == timedelta(seconds=300)
    node.kill9()
    node.start()
    assert timers(node, series) == (last_arrival, timer), "the timer runs on"
    node.kill9()
    at = quiet_passes(node, series, in_seconds=1.0)
    node.start()
    wait_complete(node, series)
    document = shown(node, series)
    assert datetime.fromisoformat(document["completed_at"]) >= at
    assert document["reason"] == "no instance for 300 s"


def timers(node: Node, series: str) -> tuple[datetime, datetime]:
    """When the last instance came, and when the series is complete unless another one does."""
    with rewriting(node) as session:
        row = session.scalars(select(Series).where(Series.uid == series)).one()
        assert row.due_at is not None
        return row.last_arrival_at, row.due_at
