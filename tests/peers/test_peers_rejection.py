"""Late, changed, rejected: what Orthanc has of a derived series, and what it is told when the source proves wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.sop_class import InstanceAvailabilityNotification
from support.commitment import notification
from support.mainflow import (
    ANNOUNCED,
    IS_CT,
    destination,
    enhancing,
    held_of,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
    wait_complete,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawfiles import raw_file
from support.rejections import QUALITY, SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.complete.manifest import listed_in, titles_of

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("pacs")) as running:
        yield running


@pytest.fixture(scope="module")
def node(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Orthanc is two destinations: one wants rejection notes, the other does not."""
    pacs = destination("pacs", orthanc.ae_title, orthanc.dicom_port) | {"rejection_notes": True}
    ward = destination("ward", orthanc.ae_title, orthanc.dicom_port)
    document = site([pacs, ward], [enhancing("passthrough", "pacs", "ward", when=IS_CT)])
    with Node(tmp_path_factory.mktemp("node"), site_yaml=document, completion=ANNOUNCED) as node:
        yield node


def derived(node: Node, orthanc: Orthanc, files: list[Path]) -> tuple[str, str]:
    """Send a series and wait until Orthanc has what was derived of it; the derived series, and the study."""
    series, study = series_uid(files[0]), raw_file(files[0]).study_uid
    send(node, files)
    wait_complete(node, series)
    node.wait_until(lambda: len(held_of(orthanc, study)) == len(files), 60.0, "the derived series")
    delivered = ("sent", "verified", "committed")

    def all_sent() -> bool:
        return {row["state"] in delivered for row in shown(node, series)["deliveries"]} == {True}

    node.wait_until(all_sent, 60.0, "both deliveries")
    (uid,) = orthanc.series(study)
    return uid, study


def note_of(node: Node, orthanc: Orthanc, study: str) -> Any:
    """The rejection note that Orthanc holds of a study, once it does."""

    def notes() -> list[str]:
        return [uid for uid in orthanc.series(study) if orthanc.series_tags(uid)["Modality"] == "KO"]

    (uid,) = node.wait_until(notes, 60.0, "the rejection note")
    (content,) = orthanc.download_series(uid).values()
    path = node.root / f"{uid}.dcm"
    path.write_bytes(content)
    return dcmread(path)


def outdated(node: Node, series: str) -> list[dict[str, Any]]:
    return list(shown(node, series)["outdated"])


def test_a_conflict_outdates_what_the_pacs_has_and_it_is_told(node: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", 3, rows=64, seed=1, images_in_acquisition=True)
    series = series_uid(files[0])
    uid, study = derived(node, orthanc, files)
    sops = orthanc.sop_uids(uid)
    other = dcmread(files[0])
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(tmp_path / "other.dcm")
    send(node, [tmp_path / "other.dcm"])
    note = note_of(node, orthanc, study)
    assert titles_of(note) == {QUALITY}
    assert listed_in(note) == {uid: sops}
    (row,) = node.wait_until(lambda: outdated(node, series), 60.0, "series show")
    assert row["reason"] == "an instance of its source came again as a conflict"
    assert (row["derived_series_uid"], row["rejection_note"]) == (uid, note.SOPInstanceUID)
    story = [event["kind"] for event in shown(node, series)["story"]]
    assert story.count("enhancement.outdated") == story.count("rejection.noted") == 1
    told = [row for row in shown(node, series)["deliveries"] if row["subject"].startswith("rejection:")]
    assert [row["destination"] for row in told] == ["pacs"]


def test_a_rejection_note_of_the_source_becomes_one_of_what_was_derived(
    node: Node, orthanc: Orthanc, tmp_path: Path
) -> None:
    files = make_ct_series(tmp_path / "ct", 3, rows=64, seed=2, images_in_acquisition=True)
    series = series_uid(files[0])
    uid, study = derived(node, orthanc, files)
    send(node, [rejection_of(files[1:2], tmp_path / "note.dcm", SAFETY)], "QC")
    note = note_of(node, orthanc, study)
    assert titles_of(note) == {SAFETY}
    assert set(listed_in(note)) == {uid}
    (row,) = outdated(node, series)
    assert row["reason"] == "QC rejected 1 instances of its source: Rejected for Patient Safety Reasons"
    assert shown(node, series)["rejected"] == [{"title": "Rejected for Patient Safety Reasons", "instances": 1}]


def notify(node: Node, files: list[Path], calling: str, unavailable: int) -> None:
    """An Instance Availability Notification of a series, the first instances of which are gone."""
    uids = sop_uids(files)
    content = notification(raw_file(files[0]).study_uid, {series_uid(files[0]): uids}, uids[:unavailable])
    entity = AE(ae_title=calling)
    entity.add_requested_context(InstanceAvailabilityNotification)
    association = entity.associate("127.0.0.1", node.dicom_port, ae_title=node.ae_title)
    status, _ = association.send_n_create(content, InstanceAvailabilityNotification, None)
    association.release()
    assert status.Status == 0


def test_availability_completes_a_series_and_the_lack_of_it_outdates_one(
    node: Node, orthanc: Orthanc, tmp_path: Path
) -> None:
    """Nothing but evidence completes what PATIENT sends within a test."""
    files = make_ct_series(tmp_path / "ct", 3, rows=64, seed=3)
    series, study = series_uid(files[0]), raw_file(files[0]).study_uid
    send(node, files, "PATIENT")
    notify(node, files, "PATIENT", 0)
    wait_complete(node, series)
    reason = "all 3 instances listed by the instance availability notification have arrived"
    assert shown(node, series)["reason"] == reason
    node.wait_until(lambda: len(held_of(orthanc, study)) == len(files), 60.0, "the derived series")
    notify(node, files, "PATIENT", 2)
    assert titles_of(note_of(node, orthanc, study)) == {QUALITY}
    (row,) = outdated(node, series)
    assert row["reason"] == "PATIENT says that 2 instances of its source are no longer available"


def test_a_correction_is_rejected_as_a_wrong_worklist_entry(node: Node, orthanc: Orthanc, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", 2, rows=64, seed=4, images_in_acquisition=True)
    _, study = derived(node, orthanc, files)
    corrected = dcmread(files[0])
    corrected.PatientName = "Right^Patient"
    corrected.save_as(tmp_path / "corrected.dcm")
    send(node, [tmp_path / "corrected.dcm"])
    assert titles_of(note_of(node, orthanc, study)) == {"113038"}
