"""What the dead left behind: receiving processes of this node that died, and whole nodes that it took over.

Both want the same: what they had begun and not finished is swept, the index reads all that they wrote, and only then is
it known which associations they had open. So an estate is opened before a run of the index, and settled after it.
"""

from collections import deque
from dataclasses import dataclass

from dicomnode.audit.events import record
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import associations
from dicomnode.flow.context import Flow
from dicomnode.flow.upkeep.membership import Membership
from dicomnode.receive.supervisor import Death
from dicomnode.store.sweep import AllBut, sweep_dead


@dataclass(frozen=True)
class Opened:
    """How many estates of each kind were opened, the oldest first."""

    receivers: int = 0
    nodes: int = 0


class Estates:
    """`receiver_died` may be called from any thread, the rest from the one that runs the index."""

    def __init__(self, flow: Flow, membership: Membership) -> None:
        self._flow, self._membership = flow, membership
        self._deaths: deque[Death] = deque()

    def receiver_died(self, death: Death) -> None:
        self._deaths.append(death)

    def open(self) -> Opened:
        """Remove what they had begun and not finished. Raises OSError."""
        opened = Opened(len(self._deaths), len(self._membership.inherited))
        for number in range(opened.receivers):
            sweep_dead(self._flow.root, self._flow.node, AllBut(self._deaths[number].boot))
        for number in range(opened.nodes):
            sweep_dead(self._flow.root, self._membership.inherited[number])
        return opened

    def settle(self, opened: Opened) -> None:
        """Write how they ended, now that the index has read all they wrote. Raises database errors."""
        for _ in range(opened.receivers):
            self._bury(self._deaths[0])
            self._deaths.popleft()
        for _ in range(opened.nodes):
            with self._flow.database.write() as session:
                associations.close_leftovers(session, self._membership.inherited[0], database_now(session))
            self._membership.inherited.popleft()

    def _bury(self, death: Death) -> None:
        with self._flow.database.write() as session:
            lost = associations.close_of_boot(session, self._flow.node, death.boot, database_now(session))
            record(
                session,
                "receiver.died",
                f"receiving process {death.process} {death.reason}",
                node=self._flow.node,
                outcome="failure",
                detail={"process": death.process, "boot": death.boot, "associations": lost},
            )
