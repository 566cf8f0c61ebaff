"""Replay against what the running node recorded: for every rule and series the same words, whatever came since."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from support.flowbench import FlowBench
from support.rulesets import FILES, real_file, rule_sets

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Instance, InstanceVersion, RuleDecision, Series
from dicomnode.db.repositories import outdatings, replays
from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import site_of
from dicomnode.desk.rules.replay import start_replay
from dicomnode.desk.rules.replaying.past import Past, ready_rules
from dicomnode.desk.rules.replaying.running import run_replay
from dicomnode.domain.site import Site

pytestmark = pytest.mark.usefixtures("each_database")

ANA = Person("ana", ("admin",))
MANY, FEW = 12, 3
BECAME = ("", "", "gone", "rejected", "contradicted", "derived", "purged")
"""What is the matter with a series when it completes; or that retention gives it up afterwards."""

_fresh = count(1)
Fates = list[tuple[str, int, str]]
FATES = st.lists(st.tuples(st.sampled_from(FILES), st.integers(1, 4), st.sampled_from(BECAME)), min_size=2, max_size=5)


def receive(bench: FlowBench, name: str, instances: int) -> str:
    """A series of this file with UIDs of its own, and a slice position each."""
    series_uid = f"2.25.{10**30 + next(_fresh)}"
    for number in range(instances):
        dataset = real_file(name)
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series_uid, number + 1
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series_uid}.{number + 1}"
        if "ImagePositionPatient" in dataset:
            dataset.ImagePositionPatient = [0, 0, 2.5 * number]
        bench.receive(dataset)
    return series_uid


def befall(bench: FlowBench, uid: str, fate: str) -> None:
    """What happens before completion."""
    first = Instance.sop_uid == f"{uid}.1"
    with bench.flow.database.write() as session:
        if fate == "gone":
            session.execute(update(Instance).where(first).values(fault="missing"))
        if fate == "rejected":
            outdatings.reject(session, f"{uid}.99", "113037", "PACS", {uid: [f"{uid}.1"]}, database_now(session))
        if fate == "contradicted":
            columns = {"kind": "correction", "sha256": "other", "association": "a-2", "differences": ["PatientName"]}
            where = {"container": "", "offset": 0, "length": 0, "transfer_syntax_uid": "", "fault": ""}
            session.add(InstanceVersion(sop_uid=f"{uid}.1", received_at=database_now(session), **columns, **where))
        if fate == "derived":
            session.execute(update(Series).where(Series.uid == uid).values(derived_by_node=True))


def purge(bench: FlowBench, uid: str) -> None:
    """Retention gave its bytes up, after it had completed."""
    at = datetime.now(UTC)
    with bench.flow.database.write() as session:
        session.execute(update(Instance).where(Instance.series_uid == uid).values(purged_at=at))
        session.execute(update(Series).where(Series.uid == uid).values(purged_at=at))


def recorded(bench: FlowBench, revision: int) -> dict[tuple[str, str], tuple[bool, str]]:
    with bench.flow.database.read() as session:
        rows = session.scalars(select(RuleDecision).where(RuleDecision.revision == revision))
        return {(row.series_uid, row.rule): (row.matched, row.outcome) for row in rows}


def replayed(bench: FlowBench, site: Site, series: list[str]) -> dict[tuple[str, str], tuple[bool, str]]:
    now = datetime.now(UTC) + timedelta(seconds=5)
    rules = [rule for rule in ready_rules(site) if rule.rule.state != "draft"]
    found: dict[tuple[str, str], tuple[bool, str]] = {}
    with bench.flow.database.read() as session:
        for uid, _, facts, around in replays.stored_facts(session, (now - timedelta(days=1), ""), (now, ""), now):
            past = Past.stored(facts, around, bench.flow.registry)
            for decided in (rule.decide(past) for rule in rules if uid in series):
                found[uid, decided.rule.name] = (decided.answer.matched, decided.outcome)
    return found


def check(bench: FlowBench, rules: list[dict[str, Any]], fates: Fates) -> None:
    bench.import_site("".join(f"\n  - {json.dumps(rule)}" for rule in rules))
    series = [receive(bench, name, instances) for name, instances, _ in fates]
    for uid, (_, _, fate) in zip(series, fates, strict=True):
        befall(bench, uid, fate)
    assert bench.complete() == len(series)
    for uid, (_, _, fate) in zip(series, fates, strict=True):
        if fate == "purged":
            purge(bench, uid)
    with bench.flow.database.read() as session:
        number, site = bench.flow.site.get(session)
        site = site_of(session, number)
    assert replayed(bench, site, series) == recorded(bench, number) != {}


@pytest.mark.torch
def test_the_past_is_decided_on_as_it_was(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    bench = FlowBench(tmp_path / "node")
    examples = MANY if bench.flow.database.is_sqlite else FEW

    @settings(max_examples=examples, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(rules=rule_sets(), fates=FATES)
    def with_any(rules: list[dict[str, Any]], fates: Fates) -> None:
        check(bench, rules, fates)

    with_any()


def test_every_circumstance_is_told_apart(tmp_path: Path) -> None:
    rule = {"name": "all", "state": "live", "when": {"all": []}, "enhance": {"pipeline": "passthrough"}}
    bench = FlowBench(tmp_path / "node")
    fates = [("CT_small.dcm", 2, fate) for fate in BECAME[1:]]
    check(bench, [{**rule, "deliver_to": ["pacs"]}], fates)
    words = sorted(row.outcome.partition(":")[0] for row in bench.decisions())
    assert words == [
        "matches",
        "matches",
        "matches, but 1 of its instances were rejected",
        "matches, but a dicomnode made this series",
        "matches, but the series is contradicted",
        "matches, but the series is not whole",
    ]
    nothing = run_replay(bench.flow, start_replay(bench.flow, ANA))
    assert nothing.result["changed"] == 0
