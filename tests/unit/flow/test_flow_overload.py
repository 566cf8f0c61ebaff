"""Deadlines, and more work than can be done in time: what the decision says, and what is done all the same."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from support.flowbench import FlowBench
from support.ledger import NOW, SERIES, with_series
from support.series import make_ct_series

from dicomnode.db.clock import Clock
from dicomnode.db.database import Database
from dicomnode.db.models import Enhancement, NodeRow
from dicomnode.db.repositories import enhancements, nodes
from dicomnode.domain.priority import SHADOW_PRIORITY
from dicomnode.domain.recipe import Recipe
from dicomnode.jobs import switches
from dicomnode.jobs.work import Work, enter

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULE = """
  - name: {name}
    state: {state}
    when: {{all: []}}
    enhance: {{pipeline: passthrough}}
    deliver_to: [pacs]
    {more}
"""


def rule(more: str = "priority: normal", name: str = "every image", state: str = "live") -> str:
    return RULE.format(name=name, more=more, state=state)


SHADOW = rule("priority: stat", "trial", "shadow")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 2, rows=32)


def busy(bench: FlowBench, series: Path, waiting: int) -> None:
    """One series that is done, in a minute; and so much work that waits beside it."""
    bench.receive_files(make_ct_series(series, 1, rows=32, seed=7, study="busy", description="busy"))
    bench.complete()
    bench.work()
    now = datetime.now(UTC)
    with bench.flow.database.write() as session:
        (done,) = enhancements.listing(session, 2)
        session.execute(update(Enhancement).values(started_at=now - timedelta(minutes=1), finished_at=now))
        for number in range(waiting):
            recipe = Recipe("passthrough", "1", params={"n": number})
            enter(session, Work(done.series_uid, 1, recipe, 1), "n", now)


def outcome_of(bench: FlowBench, files: list[Path]) -> str:
    bench.receive_files(files)
    bench.complete()
    return bench.decisions()[-1].outcome


def test_a_deadline_counts_from_completion(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("deadline_minutes: 10"))
    bench.receive_files(files)
    bench.complete()
    (row,), (series,) = bench.enhancements(), bench.series()
    assert row.deadline_at is not None
    assert series.completed_at is not None
    assert row.deadline_at - series.completed_at == timedelta(minutes=10)


def test_equal_work_of_two_rules_has_the_later_deadline(tmp_path: Path, files: list[Path]) -> None:
    rules = rule("deadline_minutes: 5") + rule("deadline_minutes: 20", "second") + rule("deadline_minutes: 1", "third")
    bench = FlowBench(tmp_path / "node", rules)
    bench.receive_files(files)
    bench.complete()
    (row,), (series,) = bench.enhancements(), bench.series()
    assert row.deadline_at is not None
    assert series.completed_at is not None
    assert row.deadline_at - series.completed_at == timedelta(minutes=20)


def test_equal_work_of_a_rule_without_a_deadline_has_none(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("deadline_minutes: 5") + rule(name="second"))
    bench.receive_files(files)
    bench.complete()
    assert bench.enhancements()[0].deadline_at is None


def test_a_shadow_has_no_say_in_the_deadline_of_others(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", SHADOW + rule("deadline_minutes: 5"))
    bench.receive_files(files)
    bench.complete()
    (row,), (series,) = bench.enhancements(), bench.series()
    assert row.deadline_at is not None
    assert series.completed_at is not None
    assert row.deadline_at - series.completed_at == timedelta(minutes=5)
    assert [decision.rule for decision in bench.decisions()] == ["every image", "trial"], "shadows are asked last"


def test_what_a_shadow_alone_asks_for_has_its_deadline_until_another_asks(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("deadline_minutes: 90", "trial", "shadow"))
    bench.receive_files(files[:1])
    bench.complete()
    assert bench.enhancements()[0].deadline_at is not None
    bench.import_site(SHADOW + rule("deadline_minutes: 5"))
    bench.receive_files(files[1:])
    bench.complete()
    (row,), (series,) = bench.enhancements(), bench.series()
    assert row.deadline_at is not None
    assert series.completed_at is not None
    assert row.deadline_at - series.completed_at == timedelta(minutes=5)


def test_a_rule_that_would_rather_have_the_originals_gets_them_when_too_much_waits(
    tmp_path: Path, files: list[Path]
) -> None:
    bench = FlowBench(tmp_path / "node", rule("on_overload: originals"))
    busy(bench, tmp_path / "busy", 100)
    words = "matches, but overloaded: originals only, because 100 jobs wait for one device: engine.max_backlog is 100"
    assert outcome_of(bench, files) == f"{words} for each"
    assert bench.decisions()[-1].matched
    assert bench.decisions()[-1].enhancement_id is None
    assert len(bench.enhancements()) == 101


def test_below_the_bound_the_work_enters(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("on_overload: originals"))
    busy(bench, tmp_path / "busy", 99)
    assert outcome_of(bench, files) == "matches: passthrough"
    assert len(bench.enhancements()) == 101


def test_the_devices_of_all_nodes_that_live_count(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("on_overload: originals"))
    busy(bench, tmp_path / "busy", 100)
    with bench.flow.database.write() as session:
        for name in ("a", "b", "silent"):
            nodes.add(session, name)
        for name in ("a", "b"):
            nodes.enter(session, name, "boot", "1", "store")
        session.execute(update(NodeRow).where(NodeRow.name != "silent").values(seen_at=Clock(3600.0)))  # for an hour
    assert outcome_of(bench, files) == "matches: passthrough"


def test_what_is_less_urgent_is_not_in_the_way(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("priority: stat\n    on_overload: originals"))
    busy(bench, tmp_path / "busy", 100)
    assert outcome_of(bench, files) == "matches: passthrough"


def test_by_default_work_enters_however_much_waits(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("deadline_minutes: 1"))
    busy(bench, tmp_path / "busy", 200)
    assert outcome_of(bench, files) == "matches: passthrough"


@pytest.mark.parametrize(("minutes", "enters"), [(4, False), (6, True)])
def test_a_deadline_that_would_be_missed_by_what_such_jobs_took(
    tmp_path: Path, files: list[Path], minutes: int, enters: bool
) -> None:
    """Four wait and each takes a minute: this one would be done in five."""
    bench = FlowBench(tmp_path / "node", rule(f"deadline_minutes: {minutes}\n    on_overload: originals"))
    busy(bench, tmp_path / "busy", 4)
    late = "it would be done in about 5.0 min, after its deadline of 4 min"
    refused = f"matches, but overloaded: originals only, because {late}"
    assert outcome_of(bench, files) == ("matches: passthrough" if enters else refused)


def crowd(bench: FlowBench, priority: int = 1) -> None:
    """A hundred jobs of another pipeline wait."""
    with bench.flow.database.write() as session:
        for number in range(100):
            work = Work(bench.series()[0].uid, 1, Recipe("other", "1", params={"n": number}), priority)
            enter(session, work, "n", datetime.now(UTC))


def test_work_that_is_known_is_not_turned_away(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("on_overload: originals"))
    bench.receive_files(files[:1])
    bench.complete()
    bench.work()
    crowd(bench)
    assert outcome_of(bench, files[1:]) == "matches: passthrough"


def test_work_that_only_a_shadow_asked_for_is_not_known(tmp_path: Path, files: list[Path]) -> None:
    """Nor does the same shadow's asking for it now make it so."""
    bench = FlowBench(tmp_path / "node", SHADOW)
    bench.receive_files(files[:1])
    bench.complete()
    bench.import_site(SHADOW + rule("on_overload: originals"))
    crowd(bench)
    bench.receive_files(files[1:])
    bench.complete()
    live, shadow = bench.decisions()[-2:]
    assert live.outcome.startswith("matches, but overloaded: originals only")
    assert shadow.outcome.startswith("matches as a shadow")
    assert (live.enhancement_id, shadow.enhancement_id) == (None, 1)
    assert bench.enhancements()[0].priority == SHADOW_PRIORITY


def test_jobs_that_are_paused_are_in_nobody_elses_way(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", rule("on_overload: originals"))
    bench.receive_files(make_ct_series(tmp_path / "other", 1, rows=32, seed=7, study="other"))
    bench.complete()
    crowd(bench)
    with bench.flow.database.write() as session:
        switches.pause(session, "other", "anna", "a bad model", "n")
    assert outcome_of(bench, files) == "matches: passthrough"


def test_ahead_is_what_would_start_before(database: Database) -> None:
    """What is paused or has to wait for its hours is ahead of its like alone; under a pause of all, everything is."""
    with_series(database)
    with database.write() as session:
        for number, (pipeline, priority) in enumerate([("p", 1), ("p", 2), ("paused", 1), ("paused", 0)]):
            recipe = Recipe(pipeline, "1", params={"n": number})
            enter(session, Work(SERIES, 1, recipe, priority), "n", NOW)
        switches.pause(session, "paused", "anna", "", "n")
        session.flush()
        shut, shadow = 2, SHADOW_PRIORITY
        assert enhancements.ahead(session, 1, "p", shut) == [("ready", "p", 1)]
        assert sorted(enhancements.ahead(session, 1, "paused", shut)) == [("ready", "p", 1), ("ready", "paused", 2)]
        assert enhancements.ahead(session, shadow, "p") == [("ready", "p", 2)]
        assert enhancements.ahead(session, shadow, "p", shut) == [("ready", "p", 1)]
        assert enhancements.ahead(session, 2, "p", shut) == [("ready", "p", 2)]
        switches.pause(session, "", "anna", "", "n")
        session.flush()
        assert enhancements.ahead(session, 1, "p", shut) == [("ready", "p", 1)]
