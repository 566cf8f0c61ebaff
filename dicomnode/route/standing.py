"""What stands in a document as it stood before the node lost what it names: a pipeline, parameters, a TLS identity.

Such a finding is of the node and not of the document. Refusing the document for it would keep people from every other
change, the way out of the broken rule included, while the rule in force goes on being broken all the same.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from dicomnode.domain.site import Destination, Rule, Site

_OF_THE_NODE = re.compile(
    r"(?:rules\[(?P<rule>\d+)\]\.enhance\.(?:pipeline|params)|destinations\[(?P<to>\d+)\]\.tls)\b"
)
_STATES = ("draft", "shadow", "live")


def stands(document: object, path: str, known: Collection[Site]) -> bool:
    """Whether the finding at `path` is of the node, and its rule or destination is one of a known site.

    A rule stands if it does the same to the same series as before, and is no nearer to live than it was; where its
    results go, and how soon, may differ. A destination stands if at most it was switched off.
    """
    place = _OF_THE_NODE.match(path)
    if place is None or not known or not isinstance(document, Mapping):
        return False
    if place["rule"]:
        return _rule_stands(document["rules"][int(place["rule"])], known)
    return _destination_stands(document["destinations"][int(place["to"])], known)


def _rule_stands(entry: Any, known: Collection[Site]) -> bool:
    try:
        rule = Rule.model_validate(entry)
    except ValidationError:
        return False
    before = (was for site in known for was in site.rules if _does(was) == _does(rule))
    return any(_STATES.index(rule.state) <= _STATES.index(was.state) for was in before)


def _does(rule: Rule) -> tuple[Any, ...]:
    return rule.name, rule.when, rule.enhance, rule.writer


def _destination_stands(entry: Any, known: Collection[Site]) -> bool:
    try:
        destination = Destination.model_validate(entry)
    except ValidationError:
        return False
    before = {was for site in known for each in site.destinations for was in (each, _off(each))}
    return destination in before


def _off(destination: Destination) -> Destination:
    return destination.model_copy(update={"enabled": False})
