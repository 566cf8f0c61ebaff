"""sent -> committed | verified: destinations are asked whether they keep what they took, and what they say is applied.

One transaction claims what is due, by moving its time on: of several nodes one asks, and one that dies while asking is
replaced when that time has come. Asking twice does no harm.
"""

import threading
from collections.abc import Collection, Sequence
from itertools import groupby

from dicomnode.db.repositories import confirmations
from dicomnode.deliver.confirmation import ask_later
from dicomnode.flow.commitment.inquiry import Inquiry
from dicomnode.flow.commitment.reports import apply_reports
from dicomnode.flow.context import Flow
from dicomnode.observe import Loop, guarded, log

LOOK_SECONDS = 0.5
LEASE_SECONDS = 180.0
"""How long another node leaves alone what one has begun to ask."""

DISABLED_SECONDS = 60.0

BATCH = 20
"""Deliveries that are claimed at a time; those to one destination are asked about over one association."""


def confirm_due(flow: Flow, stop: threading.Event | None = None) -> bool:
    """Apply what was reported and ask about what is due, one destination after the other.

    Returns whether there was anything. Safe on any number of nodes, and to be killed. Raises database errors.
    """
    applied = apply_reports(flow)
    claimed = _claim(flow)
    for destination, ids in claimed.items():
        _ask(flow, destination, ids, stop or threading.Event())
    return bool(apply_reports(flow) + applied or claimed)


class Confirmer(Loop):
    """`confirm_due` in the background, where a destination that does not answer holds up no other one."""

    def __init__(self, flow: Flow) -> None:
        super().__init__("confirm", LOOK_SECONDS, self._look)
        self._flow = flow
        self._halt = threading.Event()
        self._asking: dict[str, threading.Thread] = {}

    def stop(self, seconds: float = 30.0) -> None:
        """End; what is being asked is let go of, and asked again by whoever comes first."""
        self._halt.set()
        super().stop(seconds)
        for thread in self._asking.values():
            thread.join(seconds)

    def _look(self) -> bool:
        applied = apply_reports(self._flow)
        self._asking = {name: thread for name, thread in self._asking.items() if thread.is_alive()}
        for name, ids in _claim(self._flow, self._asking).items():
            thread = threading.Thread(target=self._ask, args=(name, ids), name=f"confirm-{name}", daemon=True)
            self._asking[name] = thread
            thread.start()
        return applied > 0

    def _ask(self, destination: str, ids: Sequence[int]) -> None:
        try:
            _ask(self._flow, destination, ids, self._halt)
        except Exception as error:
            log.warning("will ask again", destination=destination, error=guarded(error))
        self.ring()


def _claim(flow: Flow, busy: Collection[str] = ()) -> dict[str, list[int]]:
    """Deliveries to be asked about now, by destination; those are this node's."""
    rest = flow.settings.confirmation.after_seconds
    with flow.database.read() as session:
        if not confirmations.anything_due(session, rest, busy):
            return {}
    with flow.database.write() as session:
        taken = confirmations.take(session, rest, LEASE_SECONDS, BATCH, busy)
    return {name: [id for _, id in pairs] for name, pairs in groupby(taken, key=lambda pair: pair[0])}


def _ask(flow: Flow, destination: str, ids: Sequence[int], stop: threading.Event) -> None:
    with flow.database.read() as session:
        entry = flow.site.get(session)[1].destination(destination)
    if entry is not None and entry.enabled and entry.confirm != "none":
        Inquiry(flow, entry, stop).run(ids)
        return
    for id in ids:
        with flow.database.write() as session:
            row = confirmations.lock(session, id)
            if entry is not None and not entry.enabled:
                ask_later(session, row, DISABLED_SECONDS, "the destination is disabled")
            elif row.state == "sent":
                row.confirm_at = None
