"""Replay of forwarding against what the running node planned: never anything else, and exact where it says so."""

import json
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.desks import IS_CT, PACS, change, site, tried
from support.flowbench import FlowBench
from support.rulesets import FILES, attribute_tests, real_file

from dicomnode.db.models import SeriesFactsRow
from dicomnode.desk.rules.draft import site_of
from dicomnode.desk.rules.replay import replay_changes
from dicomnode.desk.rules.replaying.forwarding import Forwarder, Forwarding
from dicomnode.desk.rules.replaying.past import Past
from dicomnode.desk.rules.replaying.tally import Tally, tally
from dicomnode.domain.facts import AttributeFacts, Scalar, SeriesFacts
from dicomnode.domain.provenance import INSTANCE_CREATOR_UID
from dicomnode.enhance.registry import Registry
from dicomnode.flow.completing.deciding import Circumstances
from dicomnode.route.bounds import Bounds

ARCHIVE = {"name": "archive", "kind": "dimse", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 105}
SENDERS = ("CT1", "pacs", "PACS", "ARCHIVE")
_fresh = count(1)

RECEIPT_TESTS = st.sampled_from(
    [
        {"fact": "calling_aet", "equals": "PACS"},
        {"fact": "calling_aet", "not_equals": "CT1"},
        {"fact": "called_aet", "exists": True},
        {"fact": "transfer_syntaxes", "contains": "1.2.840.10008.1.2.4"},
        {"attribute": "InstanceNumber", "ge": 2},
        {"attribute": "InstanceNumber", "in": [1, 3], "every": True},
    ]
)
CONDITIONS = st.recursive(
    attribute_tests() | RECEIPT_TESTS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"all": each}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"any": each}),
        inner.map(lambda each: {"not": each}),
    ),
    max_leaves=4,
)
INSTANCES = st.lists(
    st.tuples(st.sampled_from(FILES[:3]), st.sampled_from(SENDERS), st.integers(0, 9)), min_size=1, max_size=4
)
RULES = st.lists(st.tuples(CONDITIONS, st.sampled_from([["pacs"], ["archive"], ["pacs", "archive"]])), max_size=3)


def receive(bench: FlowBench, instances: list[tuple[str, str, int]]) -> str:
    """One series of these files, each with its sender; every tenth instance was derived by a dicomnode."""
    series_uid = f"2.25.{10**31 + next(_fresh)}"
    for number, (name, sender, tenth) in enumerate(instances, 1):
        dataset = real_file(name)
        dataset.SeriesInstanceUID, dataset.InstanceNumber = series_uid, number
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{series_uid}.{number}"
        if not tenth:
            dataset.InstanceCreatorUID = INSTANCE_CREATOR_UID
        bench.receive(dataset, sender)
    return series_uid


def forwarding(conditions: list[tuple[Any, list[str]]]) -> list[dict[str, Any]]:
    return [
        {"name": f"rule {number}", "state": "live", "when": when, "forward_original_to": names}
        for number, (when, names) in enumerate(conditions)
    ]


def planned(bench: FlowBench) -> Counter[tuple[str, str]]:
    """Instances that the node planned to forward, by series and destination."""
    deliveries = {row.id: row for row in bench.deliveries()}
    subjects = (deliveries[item.delivery_id] for item in bench.items())
    return Counter((row.series_uid, row.destination) for row in subjects)


def replayed(bench: FlowBench) -> dict[tuple[str, str], tuple[Bounds, int]]:
    """The same as the replay finds it in what is kept; with the number of instances."""
    found: dict[tuple[str, str], tuple[Bounds, int]] = {}
    with bench.flow.database.read() as session:
        in_force = site_of(session, bench.flow.site.get(session)[0])
        rows = session.query(SeriesFactsRow).all()
    for row in rows:
        past = Past.stored(json.dumps(row.facts), json.dumps(row.circumstances), bench.flow.registry)
        for name in ("pacs", "archive"):
            forwarders = (Forwarder(rule, in_force) for rule in in_force.rules)
            bounds = past.instances.any_of(each.reach(past, name) for each in forwarders)
            found[row.series_uid, name] = bounds, past.instances.total
    return found


@pytest.mark.usefixtures("each_database")
def test_forwarding_is_replayed_as_it_was_planned(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    examples = 4 if bench.flow.database.is_sqlite else 1

    @settings(max_examples=examples, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(rules=RULES, series=st.lists(INSTANCES, min_size=1, max_size=3))
    def with_any(rules: list[tuple[Any, list[str]]], series: list[list[tuple[str, str, int]]]) -> None:
        bench.import_site("".join(f"\n  - {json.dumps(rule)}" for rule in forwarding(rules)) or "  []")
        received = {receive(bench, instances) for instances in series}
        bench.complete()
        was = planned(bench)
        for (uid, name), (bounds, total) in replayed(bench).items():
            if uid in received:
                assert bounds.low <= was[uid, name] <= bounds.high
                assert bounds.exact or total > 1, "one instance has no secrets"

    with_any()


@pytest.fixture
def ward(tmp_path: Path) -> FlowBench:
    """Two CT series and one of MR that were forwarded to pacs."""
    bench = FlowBench(tmp_path / "node", f"\n  - {json.dumps(onward('all', {'all': []}, ['pacs']))}")
    for name in ("CT_small.dcm", "CT_small.dcm", "MR_small.dcm"):
        receive(bench, [(name, "CT1", 1), (name, "CT1", 1)])
    bench.complete()
    return bench


def onward(name: str, when: Any, names: list[str], state: str = "live") -> dict[str, Any]:
    return {"name": name, "state": state, "when": when, "forward_original_to": names}


def test_originals_that_go_elsewhere_are_told_series_by_series(ward: FlowBench) -> None:
    change(ward, onward("CT to the archive", IS_CT, ["archive"]))
    change(ward, onward("all", {"not": IS_CT}, ["pacs"]), "all")
    row = tried(ward)
    told = "3 series, 2 change: 2 send more originals to archive, 2 send fewer originals to pacs"
    assert (row.result["summary"], row.changed, row.result["warnings"]) == (told, 2, [])
    assert row.result["forwarding"] == [
        {"destination": "archive", "more": 2, "fewer": 0, "unclear": 0},
        {"destination": "pacs", "more": 0, "fewer": 2, "unclear": 0},
    ]
    figures = {each["rule"]: (each["series_before"], each["series"]) for each in row.result["forwarding_rules"]}
    assert figures == {"all": (3, 1), "CT to the archive": (0, 2)}
    more, fewer = replay_changes(ward.flow, row.id, kind="more"), replay_changes(ward.flow, row.id, kind="fewer")
    assert [each.after["outcome"] for each in more] == ["forwards 2 of 2 instances to archive"] * 2
    assert {each.before["outcome"] for each in more} == {"there is no such rule"}
    assert fewer[0].before["outcome"] == "forwards 2 of 2 instances to pacs"
    assert fewer[0].after["outcome"] == "does not match: Modality equals CT: seen CT (2), which the rule excludes"


def test_what_another_rule_takes_over_is_no_change(ward: FlowBench) -> None:
    change(ward, onward("CT", IS_CT, ["pacs"]))
    change(ward, onward("all", {"not": IS_CT}, ["pacs"]), "all")
    row = tried(ward)
    assert (row.result["summary"], row.result["warnings"]) == ("3 series, none changes", [])
    change(ward, onward("nothing", {"attribute": "Modality", "equals": "US"}, ["archive"]))
    assert [each["kind"] for each in tried(ward).result["warnings"]] == ["no_match"]


def mixed(**computed: Any) -> Past:
    """Four instances: two are AXIAL, two have 1 mm; which is not kept."""
    halves: dict[str, tuple[Scalar, Scalar]] = {"ImageType": ("AXIAL", "LOCALIZER"), "SliceThickness": (1.0, 5.0)}
    attributes = {name: AttributeFacts("", {(each,): 2 for each in values}) for name, values in halves.items()}
    facts = SeriesFacts(attributes, {"instance_count": 4, "calling_aet": "CT1", "called_aet": "NODE", **computed})
    return Past(facts, Circumstances(), Registry(()))


AXIAL, THIN = {"attribute": "ImageType", "equals": "AXIAL"}, {"attribute": "SliceThickness", "le": 1}


@pytest.mark.parametrize(
    ("when", "computed", "bounds"),
    [
        (AXIAL, {}, Bounds(2, 2)),
        ({"all": [AXIAL, THIN]}, {}, Bounds(0, 2)),
        ({"any": [AXIAL, THIN]}, {}, Bounds(2, 4)),
        ({"all": [AXIAL, {"attribute": "Modality", "exists": False}]}, {}, Bounds(2, 2)),
        ({"not": {"any": [AXIAL, {"attribute": "SliceThickness", "gt": 9}]}}, {}, Bounds(2, 2)),
        ({"all": []}, {"calling_aet": "PACS"}, Bounds(0, 0)),  # never back home
        ({"all": []}, {"calling_aet": "CT1\\PACS"}, Bounds(1, 3)),
        ({"fact": "calling_aet", "equals": "ct1"}, {"calling_aet": "CT1\\CT2"}, Bounds(1, 3)),
    ],
)
def test_facts_of_a_series_bound_what_its_instances_do(when: Any, computed: dict[str, Any], bounds: Bounds) -> None:
    document = site(onward("some", when, ["pacs"]))
    assert Forwarder(document.rules[0], document).reach(mixed(**computed), "pacs") == bounds


def compared(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> tuple[list[str], Tally]:
    counts = tally()
    found = Forwarding(site(*before), site(*after)).look(mixed(), counts)
    return [change.said()[1]["outcome"] for change in found], counts


def test_what_facts_cannot_tell_is_unclear_and_said_so() -> None:
    words, counts = compared([onward("some", AXIAL, ["pacs"])], [onward("some", THIN, ["pacs"])])
    assert words == ["forwards 2 of 4 instances to pacs"]
    assert counts["forwarding"]["pacs"] == {"more": 0, "fewer": 0, "unclear": 1}
    words, counts = compared([], [onward("both", {"all": [AXIAL, THIN]}, ["pacs"])])
    assert (words, counts["forwarding_rules"]["both"]["unclear"]) == (
        ["forwards between 0 and 2 of 4 instances to pacs"],
        1,
    )
    words, counts = compared([onward("some", AXIAL, ["pacs"])], [onward("some", AXIAL, ["pacs"], "draft")])
    assert (words, counts["forwarding"]["pacs"]["fewer"]) == (["forwards nothing: it is a draft"], 1)


def test_a_destination_with_another_title_is_another_home() -> None:
    before = site(onward("all", {"all": []}, ["pacs"]))
    after = site(onward("all", {"all": []}, ["pacs"]), destinations=({**PACS, "ae_title": "CT1"},))
    counts = tally()
    (change,) = Forwarding(before, after).look(mixed(), counts)
    assert (change.kind, counts["forwarding"]["pacs"]["fewer"]) == ("fewer", 1)
    assert change.said()[1]["outcome"] == "forwards none of 4 instances to pacs"


def test_a_rule_that_enhances_and_forwards_is_told_as_both(ward: FlowBench) -> None:
    both = {"enhance": {"pipeline": "passthrough"}, "deliver_to": ["pacs"]}
    change(ward, onward("all", {"all": []}, ["pacs"]) | both, "all")
    row = tried(ward)
    assert row.result["summary"] == "3 series, 3 change: 3 gain passthrough"
    assert row.result["forwarding"] == []
