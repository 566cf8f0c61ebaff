"""A document as this node takes it: validated as a whole, or refused with every finding."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

from dicomnode.desk.refused import Refused
from dicomnode.domain.recipe import canonical_json
from dicomnode.domain.site import Site
from dicomnode.flow import Flow
from dicomnode.route.site_document import SiteRefused, check_site, read_site

UNKEPT = "the character NUL or half a character, which no database keeps"


def validated(flow: Flow, document: Mapping[str, Any] | str, below: str = "", known: Collection[Site] = ()) -> Site:
    """The site of a plain document or a YAML text, held against the pipelines and TLS identities of this node.

    Raises Refused with a problem for each finding. `below`: findings within this place, for instance `rules[2]`, are
    told relative to it: what is edited alone is refused in its own words. `known`: what stands in one of these as it
    does here is not refused for a pipeline or TLS identity that this node has lost since (`route.standing`).
    """
    pipelines, broken, identities = flow.registry.params_models(), flow.registry.broken(), flow.settings.tls
    try:
        if isinstance(document, str):
            site = read_site(document, pipelines, broken, identities, known=known)
        else:
            site = check_site(document, pipelines, broken, identities, known=known)
    except SiteRefused as refused:
        listed = _utf8("\n".join(f"  {problem}" for problem in refused.problems))
        problems = [problem.to_json() for problem in refused.problems]
        for problem in problems:
            problem["path"] = _utf8(_relative(str(problem["path"]), below))
            problem["message"] = _utf8(str(problem["message"]))
        raise Refused(f"the document is refused, nothing was changed:\n{listed}", "invalid", tuple(problems)) from None
    if not can_be_kept(site.to_document()):
        raise Refused(f"the document holds {UNKEPT}; nothing was changed")
    return site


def digest_of(site: Site) -> str:
    """SHA-256 (hex) of the document's canonical JSON: two sites with one digest are the same document."""
    return hashlib.sha256(canonical_json(site.to_document()).encode()).hexdigest()


def _relative(path: str, below: str) -> str:
    inside = bool(below) and (path == below or path.startswith((f"{below}.", f"{below}[")))
    return path[len(below) :].lstrip(".") if inside else path


def _utf8(text: str) -> str:
    """Findings quote what was sent, and JSON may hold halves of characters that no answer can."""
    return text.encode("utf-8", "replace").decode()


def can_be_kept(value: object) -> bool:
    """Whether every text of a plain document, names included, is one that databases keep: no NUL, no half character."""
    if isinstance(value, str):
        return "\0" not in value and value == _utf8(value)
    if isinstance(value, Mapping):
        return all(map(can_be_kept, (*value, *value.values())))
    return not isinstance(value, list | tuple) or all(map(can_be_kept, value))
