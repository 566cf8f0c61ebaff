"""What is urgent for the rules is urgent for the senders: derived series and originals alike."""

from pathlib import Path

import pytest
from pydicom import dcmread
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.repositories import delivery_claims, holds

pytestmark = pytest.mark.torch

RULES = """
  - name: routine
    state: live
    when: {attribute: SeriesDescription, contains: routine}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
    forward_original_to: [archive]
    priority: off-peak
  - name: stroke
    state: live
    when: {attribute: SeriesDescription, contains: stroke}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
    forward_original_to: [archive]
    priority: stat
"""


@pytest.fixture
def bench(each_database: None, tmp_path: Path) -> FlowBench:
    made = FlowBench(tmp_path / "node", RULES)
    for number, description in enumerate(("routine", "stroke"), start=1):
        files = make_ct_series(tmp_path / description, 2, rows=32, seed=number, description=description)
        made.receive_files(files)
    made.complete()
    made.work()
    return made


def taken(bench: FlowBench, destination: str) -> list[str]:
    """The rules of what a sender to this destination would send, in its order."""
    rules = {row.id: row.rule for row in bench.deliveries()}
    with bench.flow.database.write() as session:
        claims = [delivery_claims.take(session, destination, "n", 30.0) for _ in range(3)]
    return [rules[claimed.id] for claimed in claims if claimed is not None]


def test_deliveries_have_the_priority_of_their_rule_or_work(bench: FlowBench) -> None:
    assert {(row.destination, row.rule, row.priority) for row in bench.deliveries()} == {
        ("pacs", "routine", 2),
        ("pacs", "stroke", 0),
        ("archive", "routine", 2),
        ("archive", "stroke", 0),
    }
    assert taken(bench, "pacs") == taken(bench, "archive") == ["stroke", "routine"]


def test_the_stop_switch_holds_back_what_is_derived_and_lets_originals_flow(bench: FlowBench) -> None:
    with bench.flow.database.write() as session:
        holds.hold(session, holds.ENHANCING, "", "admin", "")
    assert taken(bench, "pacs") == []
    assert taken(bench, "archive") == ["stroke", "routine"]


@pytest.mark.parametrize("state", ["sent", "verified", "committed", "failed"])
def test_a_late_slice_opens_what_was_over_and_asks_anew(bench: FlowBench, tmp_path: Path, state: str) -> None:
    with bench.flow.database.write() as session:
        for row in bench.deliveries():
            mine = session.merge(row)
            mine.state, mine.confirm_at, mine.confirm_attempts, mine.confirmation = state, row.created_at, 3, "seen"
    late = make_ct_series(tmp_path / "more", 3, rows=32, seed=2, description="stroke")[2]
    first = next(row for row in bench.instances() if row.series_uid == str(dcmread(late).SeriesInstanceUID))
    assert first.sop_uid != str(dcmread(late).SOPInstanceUID)
    bench.receive(dcmread(late))
    (row,) = [row for row in bench.deliveries() if (row.destination, row.rule) == ("archive", "stroke")]
    assert (row.state, row.confirm_at, row.confirm_attempts, row.confirmation) == ("pending", None, 0, "")
