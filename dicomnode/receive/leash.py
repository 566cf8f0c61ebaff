"""What other threads may know of an association, and do to it."""

import time


class Leash:
    """Between the thread that serves an association and all others. Each attribute is set in one step."""

    def __init__(self) -> None:
        self.ordered = ""
        """Why the association is to abort; empty as long as it may go on."""
        self.waiting_since: float | None = None
        """Monotonic time since which not a byte came inside a PDU or a message; None between messages."""

    def stalled_seconds(self) -> float:
        """For how long the peer has left something half said."""
        since = self.waiting_since
        return 0.0 if since is None else time.monotonic() - since
