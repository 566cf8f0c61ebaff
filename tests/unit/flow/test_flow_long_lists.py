"""Lists of very many series, and lists that never arrive: what they cost is counted in statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import event, func, select
from support.flowbench import FlowBench
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.complete.awaited import Awaited
from dicomnode.db.models import Manifest, Rejection

pytestmark = pytest.mark.usefixtures("each_database")

CT = "1.2.840.10008.5.1.4.1.1.2"
MANIFEST = "113030"
SERIES = 700
IN_CHUNKS = 60
"""Statements that a batch makes beside those in chunks of the series that it names, and these."""


@pytest.fixture
def bench(tmp_path: Path) -> FlowBench:
    return FlowBench(tmp_path / "node")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 4, rows=8)


@contextmanager
def statements(bench: FlowBench) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    said: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        said.append(statement)

    engine = bench.flow.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)


def note(bench: FlowBench, event: str, **content: Any) -> None:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    who = {"association": "a-7", "calling_aet": "CT1", "called_aet": "DICOMNODE", "peer": "127.0.0.1"}
    bench.journal.note({"event": event, "at": at, **who, **content})


def count(bench: FlowBench, model: type[Manifest | Rejection]) -> int:
    with bench.flow.database.read() as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def test_lists_that_never_arrive_cost_a_batch_one_question(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files[:1])
    with statements(bench) as without:
        bench.receive_files(files[1:2])
    for number in range(30):
        listed = [[CT, f"1.2.{number}.{each}"] for each in range(20)]
        note(bench, "commitment-request", transaction_uid=f"1.9.{number}", instances=listed)
    bench.receive_files(files[2:3])
    with statements(bench) as beside:
        bench.receive_files(files[3:])
    assert len(beside) <= len(without) + 1
    assert not [said for said in beside if "commitment_request.instances" in said], "no list is read"


def test_what_another_node_took_in_meanwhile_is_noticed(bench: FlowBench, files: list[Path]) -> None:
    """It looked at the list as well, and remembers another instance that is not here yet."""
    listed = [[CT, str(dcmread(file).SOPInstanceUID)] for file in files]
    note(bench, "commitment-request", transaction_uid="1.9.1", instances=listed)
    bench.receive_files(files[:2])
    ours, bench.flow.awaited = bench.flow.awaited, Awaited()
    bench.receive_files(files[3:])
    assert count(bench, Manifest) == 0
    bench.flow.awaited = ours
    bench.receive_files(files[2:3])
    assert count(bench, Manifest) == 1


def test_a_notification_of_very_many_series_is_taken_in_by_chunks(bench: FlowBench, files: list[Path]) -> None:
    bench.receive_files(files)
    first = dcmread(files[0])
    available = [[f"1.2.{number}", f"1.3.{number}"] for number in range(SERIES)]
    unavailable = [[f"1.4.{number}", f"1.5.{number}"] for number in range(SERIES)]
    unavailable.append([str(first.SeriesInstanceUID), str(first.SOPInstanceUID)])
    about = {"sop_instance_uid": "1.5.5", "study_uid": "1.2"}
    note(bench, "availability", available=available, unavailable=unavailable, **about)
    with statements(bench) as said:
        bench.indexer.run()
    assert len(said) < IN_CHUNKS
    assert (count(bench, Manifest), count(bench, Rejection)) == (SERIES, 1)
    assert bench.events().count("series.rejected") == 1


@pytest.mark.parametrize(("title", "kept"), [(MANIFEST, Manifest), (SAFETY, Rejection)])
def test_a_document_of_very_many_series_is_taken_in_by_chunks(
    bench: FlowBench, files: list[Path], tmp_path: Path, title: str, kept: type[Manifest | Rejection]
) -> None:
    document = dcmread(rejection_of(files[:1], tmp_path / "note.dcm", title))
    listed = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    for number in range(1, SERIES):
        series, reference = Dataset(), Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CT, f"1.3.{number}"
        series.SeriesInstanceUID, series.ReferencedSOPSequence = f"1.2.{number}", [reference]
        listed.append(series)
    with statements(bench) as said:
        bench.receive(document)
    assert len(said) < IN_CHUNKS
    assert count(bench, kept) == SERIES
