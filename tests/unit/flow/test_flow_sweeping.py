"""What attempts left behind, and what was made ahead for nobody: it goes within minutes, with retention off as well."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID
from sqlalchemy import func, select, update
from support.flowbench import FlowBench
from support.headstarts import cached, head_start, quiet
from support.retaining import PASSTHROUGH
from support.series import make_ct_series

from dicomnode.db.models import Enhancement, HeadStart
from dicomnode.flow.enhancing.committing import commit
from dicomnode.flow.enhancing.staging import staged_orphans, sweep_staging
from dicomnode.flow.upkeep.retention import Retained, retain
from dicomnode.jobs import ledger
from dicomnode.jobs.ledger import RetryPolicy
from dicomnode.jobs.operators import operator_moves

pytestmark = pytest.mark.torch

COUNT = 3


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlowBench:
    """A node with the settings as they come, and a rule for every image."""
    monkeypatch.setattr("dicomnode.flow.head_start.pastime._TURN_SECONDS", 3600.0)  # however slow the machine
    return FlowBench(tmp_path / "node", PASSTHROUGH)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", COUNT, rows=32)


def receive_as(bench: FlowBench, files: list[Path], number: int) -> None:
    """The same images as another series."""
    for file in files:
        dataset = dcmread(file)
        dataset.SeriesInstanceUID = UID(f"{dataset.SeriesInstanceUID}.{number}")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(
            f"{dataset.SOPInstanceUID}.{number}"
        )
        bench.receive(dataset)


def rows_ahead(bench: FlowBench) -> int:
    with bench.flow.database.read() as session:
        return session.scalar(select(func.count()).select_from(HeadStart)) or 0


def strike_before_commit(monkeypatch: pytest.MonkeyPatch, strike: Callable[[], None]) -> None:
    """`strike` once the outputs of a job are staged."""

    def struck(*args: object) -> None:
        strike()
        commit(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("dicomnode.flow.enhancing.job.commit", struck)


def cancel(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        row = session.scalars(select(Enhancement)).one()
        operator_moves(session, row, "cancelled", "anna", "n", datetime.now(UTC))


@pytest.mark.usefixtures("each_database")
def test_what_was_made_ahead_for_nobody_takes_no_room_from_the_next(bench: FlowBench, files: list[Path]) -> None:
    """Two series of which the rule is taken back fill what may be made ahead; the third has its head start again."""
    engine = bench.flow.settings.engine.model_copy(update={"head_start_gb": 25_000 / (1 << 30)})
    bench.flow.settings = bench.flow.settings.model_copy(update={"engine": engine})
    for number in (1, 2):
        bench.import_site(PASSTHROUGH)
        receive_as(bench, files, number)
        quiet(bench)
        assert cached(bench)
        bench.import_site("  []")
        bench.complete()
        assert retain(bench.flow) == Retained(containers=1)
        assert (cached(bench), rows_ahead(bench)) == ([], 0)
    bench.import_site(PASSTHROUGH)
    receive_as(bench, files, 3)
    quiet(bench)
    bench.complete()
    assert bench.work() == 1
    assert head_start(bench.enhancements()[0]) == (COUNT, 0, 0)


@pytest.mark.usefixtures("each_database")
def test_of_work_that_nobody_began_in_time(bench: FlowBench, files: list[Path]) -> None:
    bench.import_site(PASSTHROUGH.replace("deliver_to", "deadline_minutes: 5\n    deliver_to"))
    bench.receive_files(files)
    quiet(bench)
    bench.complete()
    assert retain(bench.flow) == Retained(), "its job may still take it"
    with bench.flow.database.write() as session:
        session.execute(update(Enhancement).values(deadline_at=datetime.now(UTC) - timedelta(minutes=1)))
        ledger.reap(session, RetryPolicy(), "n")
    assert [row.state for row in bench.enhancements()] == ["expired"]
    assert retain(bench.flow) == Retained(containers=1)
    assert cached(bench) == []


@pytest.mark.usefixtures("each_database")
def test_of_work_that_was_cancelled_once_it_was_staged(
    bench: FlowBench, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.receive_files(files)
    bench.complete()
    strike_before_commit(monkeypatch, lambda: cancel(bench))
    bench.work()
    assert [row.state for row in bench.enhancements()] == ["cancelled"]
    assert len(staged_orphans(bench.flow)) == 1
    assert retain(bench.flow) == Retained(containers=1)
    assert staged_orphans(bench.flow) == []


@pytest.mark.usefixtures("each_database")
def test_of_work_whose_deadline_passed_while_it_ran(
    bench: FlowBench, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first attempt was ended by something that no code could tidy up after, and left a link as well."""

    def pass_deadline() -> None:
        folder = bench.flow.root / "derived" / "1"
        (folder / "0-1.tar").write_bytes(b"")
        with bench.flow.database.write() as session:
            session.execute(update(Enhancement).values(deadline_at=datetime.now(UTC) - timedelta(minutes=1)))

    bench.receive_files(files)
    bench.complete()
    strike_before_commit(monkeypatch, pass_deadline)
    bench.work()
    assert [row.state for row in bench.enhancements()] == ["expired"]
    assert retain(bench.flow) == Retained(containers=2)


@pytest.mark.usefixtures("each_database")
def test_what_is_committed_or_under_way_stays(
    bench: FlowBench, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = []
    bench.receive_files(files)
    bench.complete()
    strike_before_commit(monkeypatch, lambda: swept.append(retain(bench.flow)))
    assert bench.work() == 1
    assert [*swept, retain(bench.flow)] == [Retained(), Retained()]
    assert [bench.read(output).SOPInstanceUID for output in bench.outputs()]


def test_a_turn_looks_at_what_ended_of_late_and_a_start_at_all(bench: FlowBench, files: list[Path]) -> None:
    """A node that keeps what it derived for years does not list it every minute."""
    bench.receive_files(files)
    bench.complete()
    bench.work()
    (bench.flow.root / "derived" / "1" / "0.tar").write_bytes(b"")
    with bench.flow.database.write() as session:
        session.execute(update(Enhancement).values(finished_at=datetime.now(UTC) - timedelta(days=1)))
    assert retain(bench.flow) == Retained()
    assert sweep_staging(bench.flow) == 1
