"""A rejection at the very moment at which its series completes on another node: whoever is second sees the other."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import text
from sqlalchemy.orm import Session
from support.databases import on
from support.flowbench import FlowBench
from support.postgres import PostgreSQL
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.db.models import Series
from dicomnode.flow.completing import completion
from dicomnode.flow.completing.circumstances import circumstances_of
from dicomnode.flow.completing.deciding import Circumstances

pytestmark = [pytest.mark.torch, pytest.mark.postgres]

RULES = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""
PATIENCE_SECONDS = 30.0


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 2, rows=32)


@pytest.fixture
def bench(postgresql: PostgreSQL, tmp_path: Path, files: list[Path]) -> Iterator[FlowBench]:
    """SQLite has one writer at a time: there is no such moment."""
    with on(postgresql):
        bench = FlowBench(tmp_path / "node", RULES)
        bench.receive_files(files)
        yield bench


def note(bench: FlowBench, files: list[Path]) -> None:
    bench.receive(dcmread(rejection_of(files[:1], files[0].parent / "note.dcm", SAFETY)), "QC")


def notification(bench: FlowBench, files: list[Path]) -> None:
    header = dcmread(files[0], stop_before_pixels=True)
    event = {"event": "availability", "association": "a-9", "called_aet": "DICOMNODE", "peer": "127.0.0.1"}
    about = {"calling_aet": "PACS", "sop_instance_uid": "1.2.70", "study_uid": str(header.StudyInstanceUID)}
    gone = [[str(header.SeriesInstanceUID), str(header.SOPInstanceUID)]]
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    bench.journal.note({**event, **about, "at": at, "available": [], "unavailable": gone})
    bench.indexer.run()


def somebody_waits(bench: FlowBench) -> bool:
    with bench.flow.database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@pytest.mark.parametrize("reject", [note, notification])
def test_what_is_rejected_while_it_completes_is_not_derived_from(
    bench: FlowBench,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    reject: Callable[[FlowBench, list[Path]], None],
) -> None:
    rejecting = threading.Thread(target=reject, args=(bench, files), daemon=True)

    def meanwhile(session: Session, series: Series) -> Circumstances:
        """Completion has looked, and has not committed; the rejection comes now: it ends, or it waits."""
        around = circumstances_of(session, series)
        rejecting.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while rejecting.is_alive() and not somebody_waits(bench) and time.monotonic() < until:
            time.sleep(0.01)
        return around

    monkeypatch.setattr(completion, "circumstances_of", meanwhile)
    assert bench.complete() == 1
    rejecting.join(PATIENCE_SECONDS)
    assert bench.work() == 0
    assert [row.state for row in bench.enhancements()] == ["cancelled"]
    assert bench.deliveries() == []
