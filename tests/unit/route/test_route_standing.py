"""What stands as it stood is not refused for what the node has lost; every other finding is, and beside it that too."""

from typing import Any

import pytest
from pydantic import BaseModel

from dicomnode.domain.site import Site
from dicomnode.route.site_document import SiteRefused, check_site

PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104, "tls": "hospital"}
CHEST = {"name": "chest", "state": "live", "when": {"all": []}, "enhance": {"pipeline": "gone"}, "deliver_to": ["pacs"]}
PLAIN = {"name": "plain", "state": "draft", "when": {"all": []}}
KNOWN = Site.model_validate({"destinations": [PACS], "rules": [CHEST]})


def paths(document: dict[str, Any]) -> list[str]:
    """Where something is found, on a node without that pipeline and that TLS identity."""
    try:
        check_site(document, {"passthrough": BaseModel}, known=[KNOWN])
    except SiteRefused as refused:
        return [problem.path for problem in refused.problems]
    return []


def test_what_stood_before_stands() -> None:
    assert paths({"destinations": [PACS], "rules": [PLAIN, CHEST]}) == []
    assert paths({"destinations": [{**PACS, "enabled": False}], "rules": [{**CHEST, "state": "shadow"}]}) == []
    with pytest.raises(SiteRefused, match="there is no pipeline 'gone'"):
        check_site({"destinations": [PACS], "rules": [CHEST]}, {"passthrough": BaseModel})


def test_what_is_new_or_other_does_not() -> None:
    assert paths({"destinations": [PACS], "rules": [CHEST, {**CHEST, "name": "copy"}]}) == ["rules[1].enhance.pipeline"]
    other = {**PACS, "host": "127.0.0.2"}
    assert paths({"destinations": [other], "rules": [CHEST]}) == ["destinations[0].tls"]


def test_other_findings_are_told_without_those_of_the_node() -> None:
    wrong = {**PLAIN, "when": {"attribute": "Modalty", "equals": "CT"}}
    assert paths({"destinations": [PACS], "rules": [CHEST, wrong]}) == ["rules[1].when.attribute"]
    assert paths({"destinations": [], "rules": [CHEST]}) == ["rules[0].deliver_to[0]"]
    assert paths({"destinations": [PACS], "rules": [CHEST, CHEST]}) == ["rules[1].name"]
    assert paths({"destinations": [PACS], "rules": [CHEST, {**PLAIN, "state": "live"}]}) == ["rules[1]"]
