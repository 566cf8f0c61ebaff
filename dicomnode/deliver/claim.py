"""A delivery in hand: its instances between the associations that share it, and how it went."""

from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum

from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.db.repositories.delivery_claims import Claimed
from dicomnode.deliver.lease import Lease
from dicomnode.deliver.outcome import DUPLICATE, Outcome, Response
from dicomnode.deliver.outgoing import Outgoing, batches
from dicomnode.deliver.parallel import Share

WORTH = 25
"""So many instances must be left for each association before one more is opened: for fewer it would not pay."""


class Ending(StrEnum):
    """What kept a claim from its last instance."""

    NOTHING = "nothing"
    INTERRUPTED = "interrupted"  # by this node: it stops, was told to pause, lost its lease, has more urgent things
    LOST = "lost"  # a response, or the association
    STUMBLED = "stumbled"  # this node failed at an instance, which is not the destination's fault
    UNREACHABLE = "unreachable"  # no association
    RESOURCES = "resources"  # the destination says that it is out of them (A7xx)
    CONFIGURATION = "configuration"  # it refuses the association for good


class Claim:
    """One delivery, from its claim to its conclusion. `lanes` is the sender's to count, under its lock.

    is_probe  the destination is down, and this is the one attempt to find out whether it still is
    is_left   its last lane has gone; what came of it is being written
    """

    def __init__(
        self,
        claimed: Claimed,
        items: Sequence[OpenItem],
        outgoing_of: Callable[[OpenItem], Outgoing],
        lease: Lease,
        *,
        transcoding: bool,
        is_probe: bool = False,
    ) -> None:
        self.claimed, self.lease, self.is_probe = claimed, lease, is_probe
        self.items = {item.sop_uid: item for item in items}
        self.shares = [Share(batch) for batch in batches(map(outgoing_of, items), transcoding=transcoding)]
        self.lanes = 0
        self.is_established = False
        self.is_closed = False
        self.is_left = False
        self.answered = 0
        self.ending, self.reason = Ending.NOTHING, ""
        self.transcoded: Counter[str] = Counter()
        self.doubtful: list[tuple[OpenItem, Response]] = []

    @property
    def left(self) -> int:
        """How many instances no association has taken yet."""
        return sum(share.left for share in self.shares)

    @property
    def has_room(self) -> bool:
        """Whether one more association has something to do here: not before one stands, so that none knocks in vain."""
        is_going_on = self.is_established and not self.is_closed and not self.is_left
        return is_going_on and self.left > self.lanes * WORTH

    def may_send(self) -> bool:
        """Whether one more instance may go out; asked right before each."""
        if not self.is_closed and self.lease.is_over:
            self.close(Ending.INTERRUPTED, "the lease ran out before it could be renewed")
        return not self.is_closed

    def is_doubtful(self, item: OpenItem, response: Response) -> bool:
        """Whether "duplicate" may only mean that an earlier attempt, whose response was lost, has stored it."""
        return response.status == DUPLICATE and (self.claimed.number > 1 or item.attempts > 0)

    def note(self, response: Response) -> None:
        """An instance has had its response, or lost it."""
        if response.outcome is Outcome.TRANSIENT:
            if response.status is None:
                self.end(Ending.LOST, response.detail)
            else:  # the peer said that it cannot now: to none of us
                self.close(Ending.RESOURCES, response.detail)
            return
        self.answered += 1
        if response.transcoded and response.stored:
            self.transcoded[response.transcoded] += 1

    def end(self, ending: Ending, reason: str) -> None:
        """One association is over for this reason; others may go on."""
        if not self.is_closed:
            self.ending, self.reason = ending, reason

    def close(self, ending: Ending, reason: str) -> None:
        """Nothing more is taken; who has an instance in hand finishes it."""
        self.end(ending, reason)
        self.is_closed = True
