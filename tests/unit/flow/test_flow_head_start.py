"""The head start: made ahead or not, the same bytes go out; nothing of it is told before, and losing it costs time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.flowbench import FlowBench
from support.headstarts import cached, finish, head_start, quiet, sent
from support.series import make_ct_series

from dicomnode.db.models import Enhancement, HeadStart, Instance
from dicomnode.db.repositories import head_starts, holds
from dicomnode.flow.enhancing.staging import STAGING, sweep_staging
from dicomnode.flow.head_start import made_ahead
from dicomnode.settings import EngineSettings
from dicomnode.store.errors import StoreFull

pytestmark = pytest.mark.torch

COUNT = 6
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

RULE = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: %s}
    deliver_to: [pacs]
"""
MEAN = """
from dicomnode.enhance.api import Acceptance, GuardLimits, Pipeline


class Mean(Pipeline):
    name, version, title, neighbours = "mean", "1.0.0", "mean of three", 1
    GUARDS

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        return slices.mean(1)
"""
FLAGGING = "guards = GuardLimits(body_share=(-2.0, -1.0, 0.1, 2.0), body_above=-300.0)"
WITHHOLDING = "guards = GuardLimits(body_share=(-2.0, -1.0, 0.1, 0.1), body_above=-300.0)"

Make = Callable[..., FlowBench]


class _Noon(datetime):
    """A clock that stands still, so that two runs name their series alike."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:
        return NOON


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", COUNT, rows=64)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A node whose rule runs this pipeline; `body` is what `mean` says of its guards."""
    for module in ("enhancing.job", "head_start.ahead"):
        monkeypatch.setattr(f"dicomnode.flow.{module}.datetime", _Noon)
    monkeypatch.setattr("dicomnode.flow.head_start.arriving._QUIET_SECONDS", 3600.0)
    for limit in ("_TURN_SECONDS", "_LEASE_SECONDS"):  # neither ends because the machine stood still
        monkeypatch.setattr(f"dicomnode.flow.head_start.pastime.{limit}", 3600.0)

    def make(pipeline: str = "passthrough", body: str = "pass", rule: str = RULE, **engine: Any) -> FlowBench:
        number = len(list(tmp_path.glob("node*")))
        bench = FlowBench(tmp_path / f"node{number}", rule % pipeline, MEAN.replace("GUARDS", body))
        bench.flow.settings = bench.flow.settings.model_copy(update={"engine": EngineSettings(**engine)})
        return bench

    return make


def without(make: Make, files: list[Path], *pipeline: str) -> tuple[Enhancement, list[tuple[str, str, bytes]]]:
    """The same series through a node that has no head start."""
    bench = make(*pipeline)
    bench.receive_files(files)
    return finish(bench), sent(bench)


@pytest.mark.parametrize("pipeline", [("passthrough",), ("mean",), ("mean", FLAGGING)], ids=str)
def test_the_same_bytes_go_out(make: Make, files: list[Path], pipeline: tuple[str, ...]) -> None:
    bench = make(*pipeline)
    for file in files:
        bench.receive_files([file])
        bench.ahead()
    quiet(bench)
    row = finish(bench)
    plain, expected = without(make, files, *pipeline)
    assert sent(bench) == expected
    assert (row.figures, row.verdict, row.reason) == (plain.figures, plain.verdict, plain.reason)
    assert head_start(row)[:2] == (COUNT, 0)
    assert row.measured["head_start"]["seconds_saved"] > 0
    assert head_start(plain) == (0, COUNT, 0)
    assert cached(bench) == []


def test_real_weights_give_the_same_bytes(make: Make, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "denoise", 5, rows=256)
    bench = make("ct-denoise")
    bench.receive_files(files)
    bench.ahead()
    quiet(bench)
    row = finish(bench)
    plain, expected = without(make, files, "ct-denoise")
    assert row.state == "done"
    assert sent(bench) == expected
    assert row.figures == plain.figures
    assert head_start(row) == (5, 0, 0)


def test_nothing_is_told_before_the_series_is_complete(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files)
    before = bench.events()
    assert bench.ahead() > 0
    assert cached(bench)
    assert bench.events() == before
    assert (bench.outputs(), bench.deliveries(), bench.enhancements()) == ([], [], [])
    assert list((bench.flow.root / STAGING).rglob("*.tar")) == []


def test_what_comes_between_two_slices_changes_what_their_networks_see(make: Make, files: list[Path]) -> None:
    """Slices 1 and 3 saw each other; with slice 2 between them both are made anew, and slices 0 and 5 are not."""
    bench = make("mean")
    bench.receive_files([*files[:2], *files[3:]])
    quiet(bench)
    bench.receive_files([files[2]])
    quiet(bench)
    row = finish(bench)
    assert head_start(row) == (COUNT, 0, 2)
    assert sent(bench) == without(make, files, "mean")[1]


def test_the_end_of_a_stack_waits_for_what_may_come(make: Make, files: list[Path]) -> None:
    bench = make("mean")
    bench.receive_files(files[:4])
    bench.ahead()
    bench.receive_files(files[4:])
    row = finish(bench)
    assert head_start(row) == (2, 4, 0)
    assert sent(bench) == without(make, files, "mean")[1]


def test_slices_of_other_bytes_do_not_count(make: Make, files: list[Path]) -> None:
    """The hash of one slice is another at completion: it and both its neighbours are made anew."""
    bench = make("mean")
    bench.receive_files(files)
    quiet(bench)
    other = bench.instances()[2].sop_uid
    with bench.flow.database.write() as session:
        session.execute(update(Instance).where(Instance.sop_uid == other).values(sha256="0" * 64))
    row = finish(bench)
    assert head_start(row) == (3, 3, 3)
    assert sent(bench) == without(make, files, "mean")[1]


@pytest.mark.usefixtures("each_database")
def test_a_late_slice_has_a_head_start_too(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files[:4])
    bench.ahead()
    finish(bench)
    first = sent(bench)
    bench.receive_files(files[4:])
    bench.ahead()
    row = finish(bench)
    assert head_start(row) == (2, 0, 0)
    assert sent(bench)[:4] == first
    assert len(bench.outputs()) == COUNT
    assert len({str(bench.read(output).SeriesInstanceUID) for output in bench.outputs()}) == 1


def test_what_is_not_whole_is_made_anew(make: Make, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Damaged bytes, an index that is cut off: another process reads before it believes."""
    bench = make()
    bench.receive_files(files[:3])
    bench.ahead()
    bench.receive_files(files[3:5])
    bench.ahead()
    rounds = sorted((path for path in cached(bench) if path.suffix == ".tar"), key=lambda path: path.stat().st_mtime_ns)
    content = bytearray(rounds[0].read_bytes())
    content[3000] ^= 1
    rounds[0].write_bytes(content)
    index = rounds[1].with_suffix(".json")
    index.write_text(index.read_text()[:-10])
    monkeypatch.setattr(made_ahead, "_OWN", set())
    bench.receive_files(files[5:])
    row = finish(bench)
    assert head_start(row) == (2, 4, 1)
    assert sent(bench) == without(make, files)[1]


def test_where_nothing_can_be_linked_it_is_copied(
    make: Make, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*names: object) -> None:
        raise PermissionError

    bench = make()
    bench.receive_files(files)
    bench.ahead()
    monkeypatch.setattr("os.link", no_links)
    row = finish(bench)
    assert head_start(row) == (COUNT, 0, 0)
    assert {Path(output.container).name for output in bench.outputs()} == {"1.tar"}
    assert sent(bench) == without(make, files)[1]


def test_a_full_disk_costs_time_alone(make: Make, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise StoreFull("no room")

    bench = make()
    monkeypatch.setattr(made_ahead, "write_container", full)
    bench.receive_files(files)
    bench.ahead()
    assert [path for path in cached(bench) if path.suffix == ".tar"] == []
    row = finish(bench)
    assert (row.state, *head_start(row)) == ("done", 0, COUNT, 0)


def test_it_takes_no_more_room_than_it_may(make: Make, files: list[Path]) -> None:
    bench = make(head_start_gb=2.5e-5)
    bench.receive_files(files[:2])
    bench.ahead()
    bench.receive_files(files[2:])
    bench.ahead()
    size = sum(path.stat().st_size for path in cached(bench) if path.suffix == ".tar")
    assert 0 < size < 2.5e-5 * 2**30
    assert head_start(finish(bench)) == (2, 4, 0)


def test_switched_off(make: Make, files: list[Path]) -> None:
    bench = make(head_start=False)
    bench.receive_files(files)
    assert bench.ahead() == 0
    assert cached(bench) == []


@pytest.mark.parametrize("held", [(holds.ENHANCING, ""), (holds.JOBS, ""), (holds.JOBS, "passthrough")])
def test_what_operators_stop_has_no_head_start(make: Make, files: list[Path], held: tuple[str, str]) -> None:
    bench = make()
    with bench.flow.database.write() as session:
        holds.hold(session, *held, "somebody", "a test")
    bench.receive_files(files)
    bench.ahead()
    assert cached(bench) == []
    with bench.flow.database.write() as session:
        holds.release(session, *held)
    bench.head_starts["n/cpu/0"]._series.clear()
    bench.ahead()
    assert cached(bench)


@pytest.mark.parametrize(
    "change",
    [("state: live", "state: shadow"), ("deliver_to", "priority: off-peak\n    deliver_to")],
    ids=["shadow", "off-peak"],
)
def test_rules_that_can_wait_have_none(make: Make, files: list[Path], change: tuple[str, str]) -> None:
    bench = make(rule=RULE.replace(*change))
    bench.receive_files(files)
    bench.ahead()
    assert cached(bench) == []


@pytest.mark.usefixtures("each_database")
def test_a_series_is_looked_after_by_one_worker(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files[:3])
    assert bench.ahead("n/cpu/0") > 0
    bench.receive_files(files[3:])
    assert bench.ahead("n/cpu/1") == 0
    with bench.flow.database.write() as session:
        session.execute(update(HeadStart).values(lease_until=NOON - timedelta(days=365)))
    assert bench.ahead("n/cpu/1") > 0
    row = finish(bench)
    assert head_start(row) == (COUNT, 0, 0)
    assert sent(bench) == without(make, files)[1]


def test_a_series_that_ends_its_workers_is_left_alone(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files)
    with bench.flow.database.write() as session:
        for number in range(head_starts.MOST_TAKERS):
            name = f"n/dead/{number}"
            session.execute(update(HeadStart).values(lease_until=NOON - timedelta(days=365)))
            assert head_starts.take(session, bench.series()[0].uid, name, 0.0, anew=True)
        session.execute(update(HeadStart).values(lease_until=NOON - timedelta(days=365)))
    assert bench.ahead() == 0


def test_a_worker_that_is_wanted_leaves_it(make: Make, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """After one slice it is wanted: what is made by then is kept, and the rest is the job's."""
    monkeypatch.setattr("dicomnode.flow.head_start.pastime._ASK_SECONDS", 0.0)
    bench = make()
    bench.receive_files(files)
    assert bench.head_starts["n/cpu/0"].turn(iter([False, True]).__next__) is True
    taken, computed, thrown_away = head_start(finish(bench))
    assert 0 < taken < COUNT
    assert (taken + computed, thrown_away) == (COUNT, 0)


def test_rules_are_asked_seldom(make: Make, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none matches, headers are read when there are twice as many instances as at the last look."""
    bench = make(rule=RULE.replace("{all: []}", "{attribute: Modality, equals: MR}"))
    asked: list[int] = []
    monkeypatch.setattr("dicomnode.flow.head_start.arriving.decide", lambda site, facts: asked.append(1) or [])
    for file in files:
        bench.receive_files([file])
        bench.ahead()
    assert len(asked) == 3
    assert cached(bench) == []


def test_headers_are_not_held_for_longer_than_they_are_needed(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files)
    bench.ahead()
    (series,) = bench.head_starts["n/cpu/0"]._series.values()
    assert len(series._arriving.images) == COUNT
    assert not any("header" in vars(image) for image in series._arriving.images.values())


@pytest.mark.usefixtures("each_database")
def test_what_served_nobody_is_swept(make: Make, files: list[Path]) -> None:
    """The rule is gone when the series is complete; its head start goes with the next sweep, and so does its row."""
    bench = make()
    bench.receive_files(files)
    bench.ahead()
    assert sweep_staging(bench.flow) == 0
    bench.import_site("  []")
    bench.complete()
    assert cached(bench)
    assert sweep_staging(bench.flow) == 1
    assert cached(bench) == []
    with bench.flow.database.read() as session:
        assert session.query(HeadStart).count() == 0


def test_what_belongs_to_a_job_in_hand_is_not_swept(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files)
    bench.ahead()
    bench.complete()
    assert sweep_staging(bench.flow) == 0
    with bench.flow.database.write() as session:
        session.execute(update(Enhancement).values(state="cancelled"))
    assert sweep_staging(bench.flow) == 1
    assert cached(bench) == []


def test_a_withheld_series_leaves_nothing(make: Make, files: list[Path]) -> None:
    bench = make("mean", WITHHOLDING)
    bench.receive_files(files)
    quiet(bench)
    row = finish(bench)
    assert (row.state, *head_start(row)) == ("withheld", COUNT, 0, 0)
    assert bench.outputs() == []
    assert cached(bench) == []


@pytest.mark.usefixtures("each_database")
def test_it_adds_up(make: Make, files: list[Path]) -> None:
    bench = make()
    bench.receive_files(files[:4])
    bench.ahead()
    bench.receive_files(files[4:])
    finish(bench)
    with bench.flow.database.read() as session:
        slices, seconds = head_starts.totals(session)
    assert slices == {"taken": 4, "computed": 2, "thrown away": 0}
    assert seconds > 0
