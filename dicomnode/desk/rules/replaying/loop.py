"""The node's own replays: one after the other, beside everything else."""

import threading
from datetime import timedelta

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Replay
from dicomnode.db.repositories import replays
from dicomnode.desk.rules.replay import inline_name, note_end
from dicomnode.desk.rules.replaying.running import run_replay
from dicomnode.flow import Flow
from dicomnode.observe import Loop

LOOK_SECONDS = 0.5
LONGEST_INLINE = timedelta(days=1)
"""A command that has not ended its replay for so long was killed."""


def abandon_replays(flow: Flow) -> int:
    """Say of each replay that an earlier life of this node had begun that it failed. Returns how many there were."""
    with flow.database.write() as session:
        now, reason = database_now(session), "its node ended while it ran; ask again"
        ended = [
            *replays.abandon(session, flow.node, reason, now, now),
            *replays.abandon(session, inline_name(flow), reason, now - LONGEST_INLINE, now),
        ]
        for replay_id in ended:
            note_end(flow, session, session.get_one(Replay, replay_id), "failed", "node", reason)
    return len(ended)


class Replayer(Loop):
    """Runs the replays that are asked of this node; first of all it ends those of an earlier life."""

    def __init__(self, flow: Flow) -> None:
        super().__init__("replay", LOOK_SECONDS, self._look)
        self._flow = flow
        self._halt = threading.Event()
        self._begun = False

    def stop(self, seconds: float = 30.0) -> None:
        """End; what runs fails, and says why."""
        self._halt.set()
        super().stop(seconds)

    def _look(self) -> bool:
        if not self._begun:
            abandon_replays(self._flow)
            self._begun = True
        with self._flow.database.read() as session:
            replay_id = replays.waiting(session, self._flow.node)
        if replay_id is None:
            return False
        run_replay(self._flow, replay_id, halt=self._halt)
        return True
