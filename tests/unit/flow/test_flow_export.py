"""Export: what was sent, byte for byte, under names of the node's own; nothing overwritten, nothing wrong left."""

import hashlib
from pathlib import Path

import pytest
from pydicom import dcmread
from support.rawfiles import raw_file
from support.retaining import FORWARD, PASSTHROUGH, RetentionBench
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent
from dicomnode.flow.delivering.export import CannotExport, export

pytestmark = pytest.mark.torch


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


@pytest.fixture
def bench(tmp_path: Path, files: list[Path]) -> RetentionBench:
    bench = RetentionBench(tmp_path / "node", FORWARD + PASSTHROUGH)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    bench.close_containers()
    return bench


def write(bench: RetentionBench, out: Path, *, uid: str = "", derived: bool = False) -> int:
    uid = uid or bench.series()[0].uid
    return export(bench.flow, uid, out, "somebody", derived=derived, on_progress=lambda done, total: None)


def test_an_export_is_what_was_sent(bench: RetentionBench, files: list[Path], tmp_path: Path) -> None:
    assert write(bench, tmp_path / "out") == 3
    written = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in written] == ["00001.dcm", "00002.dcm", "00003.dcm"]
    sent = {raw_file(file).sop_uid: raw_file(file).data_set for file in files}
    assert {raw_file(path).sop_uid: raw_file(path).data_set for path in written} == sent
    events = bench.events()
    assert events.count("series.exported") == 1


def test_what_was_derived_lies_beside_it(bench: RetentionBench, tmp_path: Path) -> None:
    assert write(bench, tmp_path / "out", derived=True) == 6
    folder = tmp_path / "out" / f"derived-{bench.enhancements()[0].id}"
    written = {str(dcmread(path).SOPInstanceUID): path.read_bytes() for path in folder.iterdir()}
    outputs = {row.sop_uid: row for row in bench.outputs()}
    assert written.keys() == outputs.keys()
    for sop_uid, row in outputs.items():
        assert hashlib.sha256(written[sop_uid]).hexdigest() == row.sha256


def test_a_derived_series_is_exported_by_its_own_uid(bench: RetentionBench, tmp_path: Path) -> None:
    uid = str(bench.read(bench.outputs()[0]).SeriesInstanceUID)
    assert write(bench, tmp_path / "out", uid=uid) == 3
    assert {str(dcmread(path).SeriesInstanceUID) for path in (tmp_path / "out").iterdir()} == {uid}


def test_nothing_is_overwritten(bench: RetentionBench, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "00002.dcm").write_text("mine")
    with pytest.raises(CannotExport, match=r"00002.dcm is there already"):
        write(bench, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00002.dcm"]
    assert "series.exported" not in bench.events()


def test_a_file_that_is_not_what_was_stored_does_not_stay(bench: RetentionBench, tmp_path: Path) -> None:
    row = min(bench.instances(), key=lambda row: row.offset)
    with (bench.flow.root / row.container).open("r+b") as file:
        file.seek(row.offset + row.length - 5)
        file.write(b"\xff\xfe")
    with pytest.raises(CannotExport, match=rf"instance {row.sop_uid}: its bytes are not those that were stored"):
        write(bench, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_exported_is_said_plainly(bench: RetentionBench, tmp_path: Path) -> None:
    derived = str(bench.read(bench.outputs()[0]).SeriesInstanceUID)
    with pytest.raises(CannotExport, match=r"no instance of series 1\.2\.3 has arrived"):
        write(bench, tmp_path / "out", uid="1.2.3")
    bench.send_all()
    bench.let_days_pass(31)
    bench.retain()
    with pytest.raises(CannotExport, match=r"nothing of series .* is stored any more: 3 purged of its instances"):
        write(bench, tmp_path / "out")
    with pytest.raises(CannotExport, match=r"nothing of derived series .* is stored any more"):
        write(bench, tmp_path / "out", uid=derived)
    assert not (tmp_path / "out").exists()


def test_the_audit_says_who_took_what(bench: RetentionBench, tmp_path: Path) -> None:
    write(bench, tmp_path / "out", derived=True)
    with bench.flow.database.read() as session:
        event = session.query(AuditEvent).filter_by(kind="series.exported").one()
    assert (event.actor, event.series_uid) == ("somebody", bench.series()[0].uid)
    assert event.detail == {"files": 6, "derived": True}
