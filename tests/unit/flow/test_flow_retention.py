"""Retention: whole series that are finished with, the oldest first; what is known of them outlives their bytes."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from support.retaining import FORWARD, PASSTHROUGH, RetentionBench
from support.series import make_ct_series

from dicomnode.db.models import Delivery, Enhancement, InstanceVersion, Series
from dicomnode.db.repositories.instances import location
from dicomnode.flow.upkeep.retention import Retained
from dicomnode.store.reading import read_bytes

pytestmark = pytest.mark.torch


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


def finished(root: Path, files: list[Path], rules: str = FORWARD + PASSTHROUGH, days: float = 30) -> RetentionBench:
    """A bench with one series that was enhanced, delivered, and then left alone for 31 days."""
    bench = RetentionBench(root, rules, days=days)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    bench.send_all()
    bench.close_containers()
    bench.let_days_pass(31)
    return bench


def test_a_finished_series_gives_up_its_bytes_and_keeps_its_rows(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    size = sum(path.stat().st_size for path in (bench.flow.root / "containers").glob("*.tar"))
    assert len(bench.containers) == len(bench.derived) == 1
    done = bench.retain()
    assert (done.series, done.containers, done.freed, done.waiting) == (1, 2, size, 0)
    assert (bench.containers, bench.derived) == (set(), [])
    assert len(bench.instances()) == len(bench.outputs()) == 3
    assert len(bench.deliveries()) == 2
    assert all(row.gone == "purged" for row in [*bench.instances(), *bench.outputs()])
    (event,) = bench.purge_events()
    assert event.detail["instances"] == event.detail["outputs"] == 3
    assert event.detail["bytes"] == sum(row.length for row in [*bench.instances(), *bench.outputs()])
    assert bench.removed() == 1
    assert bench.retain() == Retained()
    assert len(bench.purge_events()) == 1


def test_nothing_is_given_up_unless_the_settings_say_so(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files, days=0)
    assert bench.retain() == Retained()
    bench.set_retention(days=32)
    assert bench.retain() == Retained()
    assert len(bench.containers) == 1


def test_something_that_happens_to_a_series_makes_it_young_again(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).where(Delivery.destination == "pacs").values(finished_at=datetime.now(UTC)))
    assert bench.retain().series == 0


@pytest.mark.parametrize("state", ["ready", "running", "a state of a later version"])
def test_open_work_holds_a_series(tmp_path: Path, files: list[Path], state: str) -> None:
    bench = finished(tmp_path / "node", files)
    with bench.flow.database.write() as session:
        session.execute(update(Enhancement).values(state=state))
    assert bench.retain().series == 0


def test_a_series_that_receives_or_that_somebody_keeps_is_held(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    for held in ({"state": "receiving"}, {"state": "complete", "kept_by": "a radiologist"}):
        with bench.flow.database.write() as session:
            session.execute(update(Series).values(held))
        assert bench.retain().series == 0
    with bench.flow.database.write() as session:
        session.execute(update(Series).values(kept_by=""))
    assert bench.retain().series == 1


def test_a_conflict_holds_its_series_until_somebody_has_looked_at_it(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files, rules="  []")
    other = dcmread(files[0])
    other.PixelData = bytes(len(other.PixelData))
    bench.receive(other)
    bench.close_containers()
    bench.let_days_pass(31)
    assert bench.retain().series == 0
    with bench.flow.database.write() as session:
        session.execute(update(InstanceVersion).values(settled_at=datetime.now(UTC)))
    assert bench.retain().series == 1
    assert bench.containers == set()


def test_a_container_that_is_still_written_waits(tmp_path: Path, files: list[Path]) -> None:
    bench = RetentionBench(tmp_path / "node")
    bench.receive_files(files)
    bench.complete()
    bench.let_days_pass(31)
    done = bench.retain()
    assert (done.series, done.containers) == (1, 0)
    assert done.waiting > 0
    assert len(bench.containers) == 1
    bench.close_containers()
    assert bench.retain().containers == 1
    assert bench.containers == set()


def test_for_room_the_oldest_goes_first_and_no_more_than_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = RetentionBench(tmp_path / "node", days=0, keep_free_gb=1)
    uids = []
    for number in (2, 3, 4):
        series = make_ct_series(tmp_path / "ct", 2, rows=32, series_number=number)
        uids.append(str(dcmread(series[0]).SeriesInstanceUID))
        bench.receive_files(series)
    bench.complete()
    bench.close_containers()
    for uid, days in zip(uids, (2.0, 3.0, 0.01), strict=True):
        bench.let_days_pass(days, uid)
    monkeypatch.setattr("dicomnode.flow.upkeep.retention.free_bytes", lambda root: (1 << 30) - 100)
    assert bench.retain().series == 1
    assert [event.series_uid for event in bench.purge_events()] == [uids[1]]
    assert bench.retain().series == 1
    assert bench.retain().series == 0, "what came within the hour stays, however little room there is"
    assert {row.uid for row in bench.series() if row.purged_at is None} == {uids[2]}


def test_a_purged_series_that_comes_again_is_stored_and_forwarded_again(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    before = {output.sop_uid: output.sha256 for output in bench.outputs()}
    bench.retain()
    bench.let_days_pass(1)
    bench.again([dcmread(file) for file in files], calling_aet="ARCHIVE2")
    assert [row.gone for row in bench.instances()] == ["", "", ""]
    for row, file in zip(sorted(bench.instances(), key=lambda row: row.instance_number or 0), files, strict=True):
        assert row.calling_aet == "ARCHIVE2"
        stored = read_bytes(bench.flow.root, location(row))
        assert stored.endswith(file.read_bytes()[-1000:])
    forwarded = next(each for each in bench.deliveries() if each.destination == "archive")
    assert forwarded.state == "pending"
    assert sum(item.state == "pending" for item in bench.items()) == 3
    assert bench.events().count("series.returned") == 1
    (series,) = bench.series()
    assert (series.state, series.purged_at) == ("receiving", None)

    bench.complete()
    bench.work()
    (work,) = bench.enhancements()
    assert work.state == "done"
    assert {output.sop_uid: output.sha256 for output in bench.outputs()} == before
    assert all(output.gone == "purged" for output in bench.outputs())
    derived = next(each for each in bench.deliveries() if each.destination == "pacs")
    assert derived.state == "sent"
    bench.send_all()
    bench.close_containers()
    bench.let_days_pass(31)
    assert bench.retain().series == 1
    assert (bench.containers, bench.derived) == (set(), [])


def test_part_of_a_purged_series_is_not_enhanced(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    bench.retain()
    bench.let_days_pass(1)
    bench.again([dcmread(files[0])])
    bench.complete()
    assert bench.work() == 0
    assert any("not whole: 2 purged" in row.outcome for row in bench.decisions())
    assert [row.state for row in bench.enhancements()] == ["done"]
    bench.again([dcmread(file) for file in files[1:]])
    bench.complete()
    assert bench.decisions()[-1].outcome.startswith("matches: ")


def test_a_retry_of_purged_work_is_withheld_with_the_reason(tmp_path: Path, files: list[Path]) -> None:
    bench = finished(tmp_path / "node", files)
    bench.retain()
    with bench.flow.database.write() as session:
        session.execute(update(Enhancement).values(state="ready", not_before=datetime.now(UTC)))
    bench.work()
    (row,) = bench.enhancements()
    assert (row.state, row.reason) == ("withheld", "the series is not whole: 3 purged of its instances")


@pytest.mark.faults
@pytest.mark.parametrize("stage", ["purged", "removed"])
def test_killed_between_rows_and_files_it_ends_what_it_began(tmp_path: Path, files: list[Path], stage: str) -> None:
    bench = finished(tmp_path / "node", files)
    marker = tmp_path / "killed"
    script = (
        "import sys; from pathlib import Path; "
        "from dicomnode.db.database import Database; from dicomnode.enhance.registry import Registry;"
        "from dicomnode.flow import Flow; from dicomnode.flow.upkeep.retention import retain;"
        "from dicomnode.settings import NodeSettings, Settings, StoreSettings; root = Path(sys.argv[1]);"
        "store = StoreSettings(root=root / 'store', min_free_gb=0, retention_days=30);"
        "settings = Settings(node=NodeSettings(name='n'), store=store);"
        "retain(Flow(Database(f'sqlite:///{root}/node.db'), settings, Registry.load([])))"
    )
    tests = Path(__file__).parents[2]
    env = {
        **os.environ,
        "DICOMNODE_FAULT": f"{stage}:{marker}",
        "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
    }
    died = subprocess.run([sys.executable, "-c", script, str(bench.root)], env=env, check=False)
    assert died.returncode == -9, "it was not killed"
    assert all(row.gone == "purged" for row in bench.instances())
    assert bool(bench.containers) == (stage == "purged")
    assert bench.removed() == 0
    assert bench.retain().containers >= 1
    assert (bench.containers, bench.derived) == (set(), [])
    assert bench.removed() == 1
    assert len(bench.purge_events()) == 1
    with bench.flow.database.read() as session:
        assert session.scalars(select(Series.purged_at)).one() is not None
