"""A delivery in hand: its instances between the associations that share it, and how it went."""

from collections import Counter
from collections.abc import Callable, Sequence

from dicomnode.db.repositories.deliveries import OpenItem
from dicomnode.deliver.outcome import Outcome, Response
from dicomnode.deliver.outgoing import Outgoing, batches
from dicomnode.deliver.parallel import Share


class Claim:
    """One delivery, from its claim to its conclusion. `lanes` is the sender's to count, under its lock."""

    def __init__(
        self,
        delivery_id: int,
        items: Sequence[OpenItem],
        outgoing_of: Callable[[OpenItem], Outgoing],
        *,
        transcoding: bool,
    ) -> None:
        self.delivery_id = delivery_id
        self.items = {item.sop_uid: item for item in items}
        self.shares = [Share(batch) for batch in batches(map(outgoing_of, items), transcoding=transcoding)]
        self.lanes = 0
        self.is_established = False
        self.is_closed = False
        self.answered = 0
        self.reason = ""
        self.transcoded: Counter[str] = Counter()

    @property
    def left(self) -> int:
        """How many instances no association has taken yet."""
        return sum(share.left for share in self.shares)

    @property
    def has_room(self) -> bool:
        """Whether one more association has something to do here: not before one stands, so that none knocks in vain."""
        return self.is_established and not self.is_closed and self.left > self.lanes

    def note(self, response: Response) -> None:
        """An instance has had its response, or lost it."""
        if response.outcome is Outcome.TRANSIENT:
            self.reason = response.detail
            if response.status is not None:
                self.close(response.detail)  # the peer said that it cannot now: to none of us
            return
        self.answered += 1
        if response.transcoded and response.stored:
            self.transcoded[response.transcoded] += 1

    def close(self, reason: str) -> None:
        """Nothing more is taken; who has an instance in hand finishes it."""
        self.reason, self.is_closed = reason, True
