"""Modalities are told what was judged, several at a time: one that does not answer holds up no other."""

import threading
from collections.abc import Collection, Sequence
from itertools import groupby

from dicomnode.db.repositories import commitment_requests
from dicomnode.flow.commitment.reporting import report_request
from dicomnode.flow.commitment.vouching import BATCH, judge_due, take
from dicomnode.flow.context import Flow
from dicomnode.observe import Loop, guarded, log

LOOK_SECONDS = 1.0
MODALITIES_AT_ONCE = 32
"""More are told as these are done with: each takes 35 s at most, and is left alone for a while if it is silent."""


def vouch_due(flow: Flow) -> bool:
    """Judge and report what is due, one modality after the other. Returns whether there was anything."""
    to_tell = _to_tell(flow)
    judged = judge_due(flow)
    for ids in to_tell.values():
        _tell(flow, ids, threading.Event())
    return judged or bool(to_tell)


class Voucher(Loop):
    """`vouch_due` in the background, with a thread for each modality while it is told."""

    def __init__(self, flow: Flow) -> None:
        super().__init__("vouch", LOOK_SECONDS, self._look)
        self._flow = flow
        self._halt = threading.Event()
        self._telling: dict[str, threading.Thread] = {}

    def stop(self, seconds: float = 30.0) -> None:
        """End, once those who are being told have answered; the rest is told later, or by another node."""
        self._halt.set()
        super().stop(seconds)
        for thread in self._telling.values():
            thread.join(seconds)

    def _look(self) -> bool:
        self._telling = {title: thread for title, thread in self._telling.items() if thread.is_alive()}
        for title, ids in _to_tell(self._flow, self._telling).items():
            if len(self._telling) < MODALITIES_AT_ONCE:
                thread = threading.Thread(target=self._tell, args=(title, ids), name=f"tell-{title}", daemon=True)
                self._telling[title] = thread
                thread.start()
        return judge_due(self._flow)

    def _tell(self, title: str, ids: Sequence[int]) -> None:
        try:
            _tell(self._flow, ids, self._halt)
        except Exception as error:
            log.warning("will tell it again", modality=title, error=guarded(error))
        else:
            self.ring()


def _to_tell(flow: Flow, busy: Collection[str] = ()) -> dict[str, list[int]]:
    """Judged requests that are due, by the AE title of the modality that asked."""
    with flow.database.read() as session:
        due = commitment_requests.due(session, flow.node, "judged", BATCH, busy)
    by_title = groupby(sorted(due, key=lambda pair: pair[0]), key=lambda pair: pair[0])
    return {title: [id for _, id in pairs] for title, pairs in by_title}


def _tell(flow: Flow, ids: Sequence[int], stop: threading.Event) -> None:
    """Tell one modality, until it proves to be away: what is left is then no longer due. Raises database errors."""
    for id in ids:
        if stop.is_set():
            return
        request = take(flow, id)
        if request is not None and request.state == "judged":
            report_request(flow, request)
