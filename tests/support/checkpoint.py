"""pynetdicom's reactor, when it is told to pause, pauses.

Its `send_*` methods clear an event and wait until the association says `_is_paused`. The reactor says so before it
looks at the event: it may be past it by then, and takes the response meant for the caller, who waits for half a minute
and gets none (3.0.4, association.py 722-725). It takes a thread that loses the processor in that very place.
"""

import threading
from typing import Any

from pynetdicom.association import Association


class Checkpoint(threading.Event):
    """The event of one association, which knows under its own lock whether the reactor passed or stands still."""

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association = association
        self.set()

    def wait(self, timeout: float | None = None) -> bool:
        """As the reactor calls it, who looks paused already; no `clear` comes between its look and its going on."""
        with self._cond:
            while not self._flag:
                self._association._is_paused = True
                self._cond.wait()
            self._association._is_paused = False
        return True


def mend() -> None:
    """From now on, for every association of this process."""
    original = Association.__init__

    def init(self: Association, *args: Any, **more: Any) -> None:
        original(self, *args, **more)
        self._reactor_checkpoint = Checkpoint(self)

    Association.__init__ = init  # type: ignore[method-assign]
