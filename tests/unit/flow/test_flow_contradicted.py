"""A series of which an instance came again with other content: nothing is derived from it, until somebody says so."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update
from support.contradictions import contradict, correct, vary
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Instance
from dicomnode.db.repositories import instances
from dicomnode.db.repositories import series as series_rows
from dicomnode.desk.person import Person
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.series.document import document
from dicomnode.flow.enhancing.asked import Asked, ask
from dicomnode.flow.upkeep import retention

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

RULES = """
  - name: every image
    state: live
    when: {all: []}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
    forward_original_to: [archive]
"""
CHANGED = RULES.replace("{pipeline: passthrough}", "{pipeline: passthrough}\n    writer: {series_number_offset: 7}")
ANA = Person("ana", ("admin",))
SAID = "matches, but the series is contradicted: 1 of its instances came again as a {}"


KINDS = pytest.mark.parametrize(("come", "kind"), [(correct, "correction"), (contradict, "conflict")])
Come = Callable[[FlowBench, Path], None]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", 3, rows=32)


@pytest.fixture
def bench(tmp_path: Path, files: list[Path]) -> FlowBench:
    """Two of three slices are here, and more are waited for."""
    bench = FlowBench(tmp_path / "node", RULES)
    bench.receive_files(files[:2])
    return bench


def release(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        for row in bench.series():
            retention.release(bench.flow, session, session.merge(row), "anna")


@KINDS
def test_before_completion_it_is_not_enhanced(bench: FlowBench, files: list[Path], come: Come, kind: str) -> None:
    come(bench, files[1])
    come(bench, files[1])
    bench.complete()
    assert bench.work() == 0
    assert [row.outcome for row in bench.decisions()] == [SAID.format(kind)]
    (originals,) = bench.deliveries()
    assert (originals.destination, originals.state) == ("archive", "pending")


def test_what_came_in_another_encoding_is_no_contradiction(bench: FlowBench, files: list[Path]) -> None:
    vary(bench, files[1])
    bench.complete()
    assert bench.work() == 1


@KINDS
def test_once_outdated_a_changed_recipe_makes_nothing_anew(
    bench: FlowBench, files: list[Path], come: Come, kind: str
) -> None:
    bench.complete()
    bench.work()
    come(bench, files[0])
    bench.import_site(CHANGED)
    bench.receive_files(files[2:])
    bench.complete()
    assert bench.work() == 0
    assert [row.state for row in bench.enhancements()] == ["outdated"]
    assert bench.decisions()[-1].outcome == SAID.format(kind)


def test_it_is_told_before_and_after_completion(bench: FlowBench, files: list[Path]) -> None:
    correct(bench, files[0])
    (series,) = bench.series()
    for generation in range(2):
        explained = explain_series(bench.flow, series.uid)
        assert [(said.decided, explained.generation) for said in explained.rules] == [
            (SAID.format("correction"), generation)
        ]
        bench.complete()
    shown = document(bench.flow, ANA, series.uid)
    assert shown["decisions"][0]["outcome"] == SAID.format("correction")
    assert [(row["kind"], row["differences"]) for row in shown["versions"]] == [("correction", ["PatientName"])]


@KINDS
def test_by_hand_it_is_enhanced_all_the_same(bench: FlowBench, files: list[Path], come: Come, kind: str) -> None:
    come(bench, files[0])
    bench.complete()
    (row,) = bench.series()
    with bench.flow.database.write() as session:
        series = series_rows.lock(session, [row.uid])[row.uid]
        ask(bench.flow, session, series, Asked("passthrough", {}, ("pacs",)), "anna", database_now(session))
    assert bench.work() == 1
    assert [row.state for row in bench.enhancements()] == ["done"]


@KINDS
def test_a_conflict_that_somebody_settled_holds_it_no_longer(
    bench: FlowBench, files: list[Path], come: Come, kind: str
) -> None:
    """Not so a correction: the first, which is kept, has the demographics that were wrong."""
    come(bench, files[0])
    bench.complete()
    release(bench)
    bench.receive_files(files[2:])
    bench.complete()
    assert bench.work() == (kind == "conflict")


def test_a_correction_that_took_the_place_of_the_first_holds_nothing(bench: FlowBench, files: list[Path]) -> None:
    """As when retention gave the first up, and the corrected one is sent once more."""
    correct(bench, files[0])
    (series,) = bench.series()
    with bench.flow.database.write() as session:
        assert instances.contradicted(session, series.uid) == {"correction": 1}
        (version,) = instances.versions(session, series.uid)
        now = update(Instance).where(Instance.sop_uid == version.sop_uid).values(sha256=version.sha256)
        session.execute(now)
        assert instances.contradicted(session, series.uid) == {}
