"""Differences in words: what an administrator reads before publishing, and in the history."""

from typing import Any

import pytest
from support.desks import IS_CT, PACS, rule, site

from dicomnode.desk.rules.diff import diff_sites
from dicomnode.desk.rules.merge import merge
from dicomnode.domain.site import Site

THIN, THICK = {"attribute": "SliceThickness", "le": 1.5}, {"attribute": "SliceThickness", "le": 3}
NO_LOCALIZER = {"not": {"attribute": "ImageType", "contains": "LOCALIZER"}}
AXIAL = {"not": {"attribute": "ImageType", "contains": "AXIAL"}}


def lines(before: Site, after: Site) -> list[str]:
    return diff_sites(before, after).lines()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (THIN, THICK, ["condition: SliceThickness is at most 1.5 -> at most 3"]),
        ({"all": [IS_CT, THIN]}, {"all": [THICK, IS_CT]}, ["condition: SliceThickness is at most 1.5 -> at most 3"]),
        (IS_CT, {"all": [IS_CT, THIN]}, ["condition: added: SliceThickness is at most 1.5"]),
        ({"all": [IS_CT, THIN]}, IS_CT, ["condition: removed: SliceThickness is at most 1.5"]),
        ({"all": [IS_CT, THIN]}, {"all": [THIN, IS_CT]}, []),
        ({"any": [IS_CT, THIN]}, {"any": [IS_CT, THICK]},
         ["condition, any of: SliceThickness is at most 1.5 -> at most 3"]),
        (NO_LOCALIZER, AXIAL, ["condition, not: ImageType contains LOCALIZER -> contains AXIAL"]),
        (THIN, {**THIN, "every": True},
         ["condition: SliceThickness is at most 1.5 -> at most 1.5 on every instance"]),
        (IS_CT, {"any": [IS_CT, THIN]}, ["condition: removed: Modality equals CT",
         "condition: added: any of (Modality equals CT; SliceThickness is at most 1.5)"]),
        ({"all": [{"any": [IS_CT, THIN]}]}, {"all": [{"any": [IS_CT]}]},
         ["condition, any of: removed: SliceThickness is at most 1.5"]),
    ],
)  # fmt: skip
def test_conditions_are_compared_test_by_test(before: Any, after: Any, told: list[str]) -> None:
    said = [line.strip() for line in lines(site(rule(when=before)), site(rule(when=after)))[1:]]
    assert said == told


def test_every_field_of_a_rule_is_told() -> None:
    after = rule(
        state="shadow", pipeline="ct-denoise", params={"strength": 0.5}, priority="stat", deadline_minutes=10,
        writer={"series_number_offset": 2000},
    )  # fmt: skip
    assert lines(site(rule()), site(after)) == [
        "rule chest: changed",
        "  state: live -> shadow",
        "  pipeline: passthrough -> ct-denoise",
        "  priority: normal -> stat",
        "  deadline_minutes: added: 10",
        "  writer series_number_offset: 1000 -> 2000",
        "  parameter strength: added: 0.5",
    ]


def test_added_removed_renamed_moved() -> None:
    one, two, three = rule("one"), rule("two", when=THIN), rule("three", when=THICK)
    assert lines(site(one), site(one, two))[:3] == [
        "rule two: added",
        "  state: added: live",
        "  condition: added: SliceThickness is at most 1.5",
    ]
    assert lines(site(one, two), site(one))[0] == "rule two: removed"
    assert lines(site(one, two), site(one, {**two, "name": "2"})) == ["rule two -> 2: renamed"]
    assert lines(site(one, two, three), site(three, one, two)) == ["rule three: moved"]
    assert not diff_sites(site(one, two), site(one, two))


def test_destinations_field_by_field() -> None:
    after = site(rule(), destinations=({**PACS, "port": 11112, "enabled": False},))
    assert lines(site(rule()), after) == ["destination pacs: changed", "  port: 104 -> 11112", "  enabled: yes -> no"]
    document = diff_sites(site(rule()), after).to_json()
    assert document["destinations"][0]["changes"][0] == {
        "kind": "changed", "what": "port", "before": "104", "after": "11112", "text": "port: 104 -> 11112",
    }  # fmt: skip
    assert document["rules"] == []


def test_a_merge_keeps_both_sides() -> None:
    base = site(rule("one"), rule("two"))
    mine = site(rule("one", when=THIN), rule("two"), rule("mine"))
    theirs = site(rule("one"), rule("theirs"))
    merged, conflicts = merge(base, mine, theirs)
    assert conflicts == []
    assert [each.name for each in merged.rules] == ["one", "mine", "theirs"]
    assert merged.rules[0].when == mine.rules[0].when


def test_a_merge_names_what_both_changed() -> None:
    base, mine, theirs = (site(rule("one", when=when), rule("two")) for when in (IS_CT, THIN, THICK))
    gone = site(rule("two"))
    assert merge(base, mine, theirs)[1] == ["rule one"]
    assert merge(base, mine, gone)[1] == ["rule one"]
    assert merge(base, mine, mine) == (mine, [])
    assert merge(base, mine, theirs, "draft")[0] == mine
    assert merge(base, mine, theirs, "in force")[0] == theirs
    assert merge(base, mine, gone, "in force")[0] == gone
