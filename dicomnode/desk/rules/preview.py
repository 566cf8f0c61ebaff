"""What saving one destination would change of the draft as it is now, for whoever somebody else was quicker than."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dicomnode.desk.rules.diff import SiteDiff, diff_sites
from dicomnode.desk.rules.draft import Draft
from dicomnode.domain.site import Destination, Site


def preview_destination(draft: Draft, destination: Mapping[str, Any], *, name: str = "") -> SiteDiff | None:
    """The difference that `destination` (a plain document) makes in the place of the one called `name`; without a name
    it is added. None where it is none yet, which saving it says. Rules that follow its name are not told of.
    """
    try:
        written = Destination.model_validate(destination)
        now = draft.site.destinations
        then = [written if each.name == name else each for each in now] if name else [*now, written]
        return diff_sites(Site(destinations=now), Site(destinations=tuple(then)))
    except ValidationError:
        return None
