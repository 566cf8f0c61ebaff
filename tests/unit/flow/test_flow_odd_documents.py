"""Documents and notifications that no well-made sender writes: the receiver took them, the index goes on."""

import struct
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.db.models import Instance, Manifest, Rejection
from dicomnode.receive.identity import identify
from dicomnode.receive.store_request import StoreRequest

pytestmark = pytest.mark.usefixtures("each_database")

MANIFEST = "113030"
UID = "1.2.3.4.567"


def images(bench: FlowBench) -> list[Instance]:
    return [row for row in bench.instances() if row.is_image]


@pytest.mark.parametrize("vr", [b"US", b"FD"])
@pytest.mark.parametrize(("title", "kept"), [(MANIFEST, Manifest), (SAFETY, Rejection)])
def test_a_document_whose_uid_has_another_vr_is_taken_in_under_the_uid_that_was_received(
    tmp_path: Path, title: str, kept: type[Manifest | Rejection], vr: bytes
) -> None:
    bench = FlowBench(tmp_path / "node")
    (file,) = make_ct_series(tmp_path / "ct", 1, rows=8)
    document = dcmread(rejection_of([file], tmp_path / "note.dcm", title))
    document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = UID
    syntax, sop_class = str(document.file_meta.TransferSyntaxUID), str(document.SOPClassUID)

    def encoded(data_set: bytes) -> bytes:
        sent = UID.encode()
        element = struct.pack("<HH2sH", 8, 0x18, b"UI", 12) + sent + b"\0"
        assert element in data_set
        data_set = data_set.replace(element, struct.pack("<HH2sH", 8, 0x18, vr, 11) + sent)
        identify(StoreRequest(sop_class, UID, sop_class, syntax), memoryview(data_set))  # the receiver takes it
        return data_set

    bench.receive(document, encoded=encoded)
    bench.receive(dcmread(file))
    assert {row.sop_uid for row in bench.instances()} == {UID, str(dcmread(file).SOPInstanceUID)}
    with bench.flow.database.read() as session:
        assert list(session.scalars(select(kept.source))) == [UID]


def test_a_note_that_lists_an_instance_under_two_series_rejects_it_once(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    files = make_ct_series(tmp_path / "ct", 2, rows=8)
    bench.receive_files(files)
    note = dcmread(rejection_of(files, tmp_path / "note.dcm"))
    listed = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    listed.append(deepcopy(listed[0]))
    listed[0].SeriesInstanceUID = UID
    bench.receive(note)
    with bench.flow.database.read() as session:
        assert sorted(session.scalars(select(Rejection.sop_uid))) == sorted(row.sop_uid for row in images(bench))
    assert "series.rejected" in bench.events(), "the series that is here has lost them, whichever was listed first"


def test_a_notification_that_lists_an_instance_under_two_series_withdraws_it_once(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    bench.receive_files(make_ct_series(tmp_path / "ct", 1, rows=8))
    (row,) = bench.instances()
    who = {"association": "a-2", "calling_aet": "PACS", "called_aet": "NODE", "peer": "127.0.0.1"}
    about = {"event": "availability", "at": datetime.now(UTC).isoformat(), "sop_instance_uid": UID, "study_uid": "1.2"}
    twice = [[UID, row.sop_uid], [row.series_uid, row.sop_uid]]
    bench.journal.note({**about, **who, "available": [], "unavailable": twice})
    bench.indexer.run()
    with bench.flow.database.read() as session:
        assert list(session.scalars(select(Rejection.sop_uid))) == [row.sop_uid]
    assert "series.rejected" in bench.events()
