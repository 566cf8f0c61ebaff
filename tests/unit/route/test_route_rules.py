"""Rules of a site on a series: who acts, who is measured, who is ignored, and why."""

import json

from dicomnode.domain.facts import AttributeFacts, SeriesFacts
from dicomnode.domain.site import Site
from dicomnode.route.rules import decide, decide_forwarding, explain_rules, render

CT = {"attribute": "Modality", "equals": "CT"}
MR = {"attribute": "Modality", "equals": "MR"}
FACTS = SeriesFacts({"Modality": AttributeFacts("CS", {("CT",): 20})}, {"instance_count": 20, "calling_aet": "CT1"})


def rule(name: str, state: str, when: dict, **more: object) -> dict:
    return {"name": name, "state": state, "when": when, "enhance": {"pipeline": "p"}, "deliver_to": ["pacs"], **more}


def site(*rules: dict) -> Site:
    pacs = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "localhost", "port": 104}
    return Site.model_validate({"destinations": [pacs], "rules": list(rules)})


def test_all_matching_live_rules_act_and_shadows_come_last():
    matches = decide(
        site(
            rule("shadow", "shadow", CT),
            rule("first", "live", CT),
            rule("draft", "draft", CT),
            rule("other", "live", MR),
            rule("second", "live", {"all": []}),
        ),
        FACTS,
    )
    assert [(match.rule.name, match.shadow) for match in matches] == [
        ("first", False),
        ("second", False),
        ("shadow", True),
    ]
    assert all(match.explanation.result for match in matches)


def test_forwarding_is_by_live_rules_that_forward():
    forward = {"enhance": None, "deliver_to": [], "forward_original_to": ["pacs"]}
    ours = site(
        rule("all CT", "live", CT, **forward),
        rule("from CT1", "live", {"fact": "calling_aet", "equals": "ct1"}, **forward),
        rule("MR", "live", MR, **forward),
        rule("shadow", "shadow", CT, **forward),
        rule("enhances only", "live", CT),
    )
    assert [match.rule.name for match in decide_forwarding(ours, FACTS)] == ["all CT", "from CT1"]
    assert [match.rule.name for match in decide(ours, FACTS)] == ["enhances only"]


def test_every_rule_is_explained():
    explanations = explain_rules(
        site(
            rule("fits", "live", {"all": [CT, {"not": {"attribute": "ImageType", "contains": "SECONDARY"}}]}),
            rule("wrong modality", "live", {"all": [MR, {"fact": "instance_count", "ge": 10}]}),
            rule("excluded", "live", {"not": {"any": [CT, MR]}}),
            rule("tried", "shadow", CT),
            rule("written", "draft", CT),
        ),
        FACTS,
    )
    assert [each.outcome for each in explanations] == [
        "matches and acts",
        "does not match",
        "does not match",
        "matches as a shadow: measured, nothing is sent",
        "ignored as a draft; it would match",
    ]
    assert explanations[1].reason == "Modality equals MR: seen CT (20)"
    assert explanations[2].reason == "Modality equals CT: seen CT (20), which the rule excludes"
    assert render(explanations[:2]) == [
        "fits (live): matches and acts",
        "  yes all of 2: 2 true",
        "    yes Modality equals CT: seen CT (20)",
        "    yes not: the condition below is false",
        "      no  ImageType contains SECONDARY: absent",
        "",
        "wrong modality (live): does not match",
        "  no  all of 2: 1 true",
        "    no  Modality equals MR: seen CT (20)",
        "    yes instance_count is at least 10: seen 20",
    ]
    document = [each.to_json() for each in explanations]
    assert json.loads(json.dumps(document)) == document
    assert document[1]["condition"]["children"][0]["seen"] == [{"value": ["CT"], "count": 20, "satisfies": False}]
