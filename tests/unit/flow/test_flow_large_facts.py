"""Facts too large to be kept whole: the decision rests on what is kept, and so does its replay."""

from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select
from support.flowbench import FlowBench
from support.series import make_ct_series

from dicomnode.db.models import AuditEvent, RuleDecision
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.condition import parse_condition
from dicomnode.domain.facts import SeriesFacts
from dicomnode.route.evaluate import evaluate

pytestmark = pytest.mark.usefixtures("each_database")

WHEN = {"attribute": "0019,1010", "private_creator": "OURS", "contains": "x"}
RULE = """
  - name: private
    state: live
    when: {attribute: "0019,1010", private_creator: OURS, contains: x}
    enhance: {pipeline: passthrough}
    deliver_to: [pacs]
"""


def test_the_decision_says_what_is_not_kept_and_its_replay_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dicomnode.complete.facts.MAX_SERIES", 20_000)
    bench = FlowBench(tmp_path / "node", RULE)
    for number, file in enumerate(make_ct_series(tmp_path / "ct", 20, rows=8)):
        dataset = dcmread(file)
        dataset.add_new((0x0019, 0x0010), "LO", "OURS")
        dataset.add_new((0x0019, 0x1010), "LT", f"{number}" + "x" * 1000)
        bench.receive(dataset)
    assert bench.complete() == 1
    with bench.flow.database.read() as session:
        (decision,) = session.scalars(select(RuleDecision))
        stored = series_rows.facts(session, decision.series_uid)
        (event,) = session.scalars(select(AuditEvent).where(AuditEvent.kind == "series.complete"))
    assert stored is not None
    replayed = evaluate(parse_condition(WHEN), SeriesFacts.from_json(stored.facts))
    assert decision.explanation["condition"] == replayed.to_json()
    assert not decision.matched
    assert replayed.sentence.endswith("too large to be kept")
    assert event.detail["elements_left_out"] >= 1
