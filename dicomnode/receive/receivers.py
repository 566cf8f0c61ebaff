"""The node's receiving side as a whole: the ports, the board, the processes behind them, and what they tell."""

import os
import threading
from collections.abc import Callable
from typing import Literal

from dicomnode.observe import REGISTRY
from dicomnode.receive.board import ENDED, Board, State
from dicomnode.receive.launch import Launch
from dicomnode.receive.metrics import ReceiverMetrics
from dicomnode.receive.ports import Addresses, Ports
from dicomnode.receive.supervisor import Death, Supervisor
from dicomnode.receive.tally import NodeTally
from dicomnode.receive.tenancy import Tenancy
from dicomnode.receive.tls import server_context
from dicomnode.store.backlog import Backlog

MOST_BY_DEFAULT = 4

_GATHER_SECONDS = 0.2
"""The node hears of a burst so often at most. Each turn of the index costs a transaction, whose data syncs those of the
receivers wait for: at 0.03 s a whole node received less than half as fast."""

_ORPHANS_SECONDS = 15.0


def process_count(processes: int | Literal["auto"]) -> int:
    """As many as the settings say; "auto": one for each core that this process may use, four at most."""
    return min(MOST_BY_DEFAULT, len(os.sched_getaffinity(0))) if processes == "auto" else processes


class Receivers:
    """Opens the ports and keeps the receiving processes. `backlog` is what the index tells of its runs."""

    def __init__(
        self,
        launch: Launch,
        addresses: Addresses,
        processes: int,
        changed: Callable[[], None],
        died: Callable[[Death], None],
    ) -> None:
        """`changed` is called when something was received or an association began or ended, not for each one.

        `died` is called for each process that ended without being asked, before it is replaced. Both run in threads
        of this object's and must be quick.
        """
        self._launch, self._addresses, self._changed, self._died = launch, addresses, changed, died
        self._board = Board.create(processes, launch.receiver.max_associations)
        self._tally = NodeTally(self._board)
        self.backlog = Backlog(self._tally, launch.max_backlog)
        self._metrics = ReceiverMetrics(self._tally, self.backlog)
        self._supervisor: Supervisor | None = None
        self._stopping = threading.Event()
        self._bell = threading.Thread(target=self._listen_to_bell, name="bell", daemon=True)

    def wait_for_orphans(self) -> None:
        """Return once the receiving processes of a killed node are gone. Raises StillThere.

        They end within a moment; until then they hold the ports, and may be writing a container.
        """
        Tenancy(self._launch.root, self._launch.node).wait_until_empty(_ORPHANS_SECONDS)

    def start(self) -> None:
        """Listen, and return once every process takes associations.

        Raises CannotListen, TlsUnusable, NotServing and OSError.
        """
        if self._launch.tls is not None:
            server_context(self._launch.tls)  # each process reads the files again; what is wrong with them is said here
        ports = Ports.open(self._addresses)
        self._supervisor = Supervisor(self._launch, ports, self._board, self._died)
        try:
            self._supervisor.start()
        except BaseException:
            ports.close()
            raise
        REGISTRY.register(self._metrics)
        self._bell.start()

    def stop(self) -> None:
        """Close the ports and drain; what is left open after the time that the launch gives is aborted."""
        if self._supervisor is None:
            return
        self._supervisor.stop()
        self._stopping.set()
        self._tally.wake()
        self._bell.join()
        REGISTRY.unregister(self._metrics)

    @property
    def serving(self) -> bool:
        """Whether every process takes associations now."""
        return self._supervisor is not None and self._supervisor.serving

    @property
    def states(self) -> list[tuple[str, int]]:
        """What each receiving process says of itself, and how many associations it has open."""
        rows = self._board.rows()
        opened = [row.get("opened") - sum(row.get(outcome) for outcome in ENDED) for row in rows]
        return [(State(row.get("state")).name.lower(), max(0, count)) for row, count in zip(rows, opened, strict=True)]

    def trusted(self, container: str) -> bool:
        """Whether a container was written in this run by a process that is alive or ended in order."""
        return self._supervisor is not None and self._supervisor.trusted(container)

    def _listen_to_bell(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            seen = self._tally.wait_for_change(seen)
            self._changed()
            self._stopping.wait(_GATHER_SECONDS)
