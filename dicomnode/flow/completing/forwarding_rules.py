"""The rules that forward an instance as it arrives, remembered by what they were decided from."""

from collections.abc import Callable
from typing import NamedTuple

from pydicom import Dataset

from dicomnode.complete.facts import instance_facts
from dicomnode.domain.instance import Location
from dicomnode.domain.site import Rule, Site
from dicomnode.route.rules import decide_forwarding

_REMEMBERED = 1000
"""Instances, above those of one batch: an attempt may have to be repeated, or be made of halves of it."""


class Original(NamedTuple):
    """What decides on an instance: its bytes, and what receipts know."""

    location: Location
    sha256: str
    transfer_syntax_uid: str
    calling_aet: str
    called_aet: str
    """That of its series, which is its first instance's."""


class ForwardingRules:
    """Decisions of one revision; their facts would take megabytes. For the one thread that takes arrivals in."""

    def __init__(self) -> None:
        self._revision = 0
        self._found: dict[Original, tuple[Rule, ...]] = {}

    def matching(
        self, revision: int, site: Site, original: Original, header: Callable[[], Dataset]
    ) -> tuple[Rule, ...]:
        """The live rules of this revision that forward it; raises what `header` raises, called if it is not known."""
        if revision != self._revision:
            self._revision, self._found = revision, {}
        if original not in self._found:
            self._found[original] = _decided(site, original, header())
            if len(self._found) > _REMEMBERED:
                del self._found[next(iter(self._found))]
        return self._found[original]


def _decided(site: Site, original: Original, header: Dataset) -> tuple[Rule, ...]:
    facts = instance_facts(
        header,
        calling_aet=original.calling_aet,
        called_aet=original.called_aet,
        transfer_syntax=original.transfer_syntax_uid,
    )
    return tuple(match.rule for match in decide_forwarding(site, facts))
