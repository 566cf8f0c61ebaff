"""What a roll-back puts in force: an earlier document, and the destinations that something is still on its way to.

Who rolls back wants the rules of today to stop at once. A destination that the earlier document does not have, and to
which deliveries are not finished, therefore stays: no rule names it any more, and an ordinary change takes it away once
they are finished or cancelled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dicomnode.db.repositories import site as site_rows
from dicomnode.desk.rules.draft import site_of
from dicomnode.domain.site import Site


@dataclass(frozen=True)
class Restored:
    """The site that a roll-back to revision `number` comes to. `kept`: deliveries by destination that stays."""

    number: int
    document: Site
    """As it was then."""
    site: Site
    kept: Mapping[str, int]

    @property
    def note(self) -> str:
        """What is otherwise than then, in words; empty if nothing is."""
        listed = ", ".join(f"{name} ({count})" for name, count in self.kept.items())
        return f"kept, as deliveries to them are not finished: {listed}" if listed else ""


def restored(session: Session, number: int, before: Site) -> Restored:
    """Revision `number`, with the destinations of `before`, in force now, that cannot go yet.

    One whose name the earlier document gives to another, but for case, is not kept: that is for people to settle.
    Raises Refused, `missing`.
    """
    document = site_of(session, number)
    taken = {each.name.casefold() for each in document.destinations}
    gone = {each.name: each for each in before.destinations if each.name.casefold() not in taken}
    waiting = site_rows.open_deliveries_to(session, list(gone))
    kept = [each for name, each in gone.items() if name in waiting]
    site = document.model_copy(update={"destinations": (*document.destinations, *kept)})
    return Restored(number, document, site, {each.name: waiting[each.name] for each in kept})
