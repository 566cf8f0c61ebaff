"""How far the draft is tried, in words."""

from dataclasses import dataclass

from dicomnode.db.models import Replay
from dicomnode.db.repositories import replays
from dicomnode.desk.rules.draft import Draft
from dicomnode.flow import Flow


@dataclass(frozen=True)
class Trial:
    """The newest replay of exactly this draft against the revision in force, if there is one."""

    replay: Replay | None

    @property
    def runs(self) -> bool:
        return self.replay is not None and self.replay.state == "running"

    @property
    def done(self) -> bool:
        return self.replay is not None and self.replay.state == "done"

    @property
    def words(self) -> str:
        """ "not replayed", "replayed: 214 series, 9 change" """
        if self.replay is None:
            return "not replayed"
        if self.runs:
            return f"its replay runs: {self.replay.done} of {self.replay.total} series"
        if not self.done:
            return f"its replay {'was stopped' if self.replay.state == 'stopped' else 'failed'}"
        series = "1 series" if self.replay.total == 1 else f"{self.replay.total} series"
        return f"replayed: {series}, {self.replay.changed or 'none'} change{'s' if self.replay.changed == 1 else ''}"


def trial_of(flow: Flow, draft: Draft) -> Trial:
    """Of the draft as it stands."""
    with flow.database.read() as session:
        done = replays.done_for(session, draft.digest, draft.in_force)
        return Trial(done or replays.of_document(session, draft.digest, draft.in_force))
