"""The rows of the table: what is sent, how often, over how many associations, and by which sender."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

OURS = ("receiving", "node")
"""The node, by the keys of its peers: alone and whole."""
NAGLE = ("storescp", "orthanc", "orthanc-as-it-comes", *OURS)


class Sender(StrEnum):
    """Who sends."""

    RAW = "raw"
    """Our own, which does not limit: associations are open before the clock starts."""
    EACH = "each"
    """Our own, with an association for each instance."""
    STORESCU = "storescu"
    """DCMTK's, as it comes: with Nagle's algorithm."""


@dataclass(frozen=True)
class Row:
    """`peers`: those it is meant for, all where empty. `once`: in the first round alone."""

    key: str
    modality: str
    instances: int
    associations: int = 1
    sender: Sender = Sender.RAW
    peers: tuple[str, ...] = ()
    once: bool = False

    @property
    def title(self) -> str:
        many = f"{self.associations} association{'s' if self.associations > 1 else ''}"
        how = {
            Sender.RAW: many,
            Sender.EACH: "an association for each instance",
            Sender.STORESCU: "from a default storescu",
        }
        series = f"one series of {self.instances}, " if self.once else ""
        return f"{self.modality}, {series}{how[self.sender]}"


def receive_rows(counts: Mapping[str, int], parallel: int) -> Sequence[Row]:
    """`counts` by key: ct, mr, dx, nagle, each, series; a row of none is left out.

    The parallel MR row sends twice as many, or it would be over in a blink.
    """
    ct, mr = counts["ct"], counts["mr"]
    rows = (
        Row("ct-1", "CT", ct),
        Row("ct-k", "CT", ct, parallel),
        Row("mr-1", "MR", mr),
        Row("mr-k", "MR", 2 * mr, parallel),
        Row("dx-1", "DX", counts["dx"]),
        Row("nagle", "MR", counts["nagle"], sender=Sender.STORESCU, peers=NAGLE),
        Row("each", "MR", counts["each"], sender=Sender.EACH),
        Row("series", "CT", counts["series"], peers=OURS, once=True),
    )
    return [row for row in rows if row.instances >= row.associations]


def deliver_rows(ct: int, mr: int, parallel: int) -> Sequence[Row]:
    """CT and MR over one association and over several."""
    rows = (
        Row("ct-1", "CT", ct),
        Row("ct-k", "CT", ct, parallel),
        Row("mr-1", "MR", mr),
        Row("mr-k", "MR", mr, parallel),
    )
    return [row for row in rows if row.instances >= row.associations]
