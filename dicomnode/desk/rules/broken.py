"""Rules whose pipeline cannot be used: their series get originals alone, until it is mended or they are changed."""

from collections.abc import Mapping

from dicomnode.domain.site import Rule, Site
from dicomnode.enhance.errors import EnhanceError
from dicomnode.flow import Flow


def broken_rules(flow: Flow, site: Site) -> Mapping[str, str]:
    """What is wrong with each such rule, by its name, in words that name it. Weights are not read."""
    found = ((rule.name, why_unusable(flow, rule)) for rule in site.rules)
    return {name: f"rule {name} enhances nothing: {why}" for name, why in found if why}


def why_unusable(flow: Flow, rule: Rule) -> str:
    """Why the pipeline does not do what the rule asks: it is not installed, broken, or refuses these parameters."""
    if rule.enhance is None:
        return ""
    try:
        flow.registry.recipe(rule.enhance.pipeline, rule.enhance.params, rule.writer)
    except EnhanceError as error:
        return str(error).rstrip(".")
    return ""
