"""The dispatcher: one sender for every destination of the revision in force."""

import threading
import time
from collections.abc import Callable, Sequence

from dicomnode.deliver.destination import Destination
from dicomnode.deliver.sender import Sender
from dicomnode.observe import log

LOOK_SECONDS = 0.5


class Dispatcher:
    """Keeps the senders in step with the site data: a changed destination gets a new sender within a second."""

    def __init__(
        self, destinations: Callable[[], Sequence[Destination]], make_sender: Callable[[Destination], Sender]
    ) -> None:
        self._destinations, self._make_sender = destinations, make_sender
        self._senders: dict[str, Sender] = {}
        self._stop_event = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, drain_seconds: float) -> None:
        """Let every sender finish its instance; abort those that take longer than `drain_seconds`."""
        self._stop_event.set()
        self._thread.join()
        senders = list(self._senders.values())
        for sender in senders:
            sender.stop()
        until = time.monotonic() + drain_seconds
        for sender in senders:
            sender.join(max(0.0, until - time.monotonic()))
            if sender.is_alive():
                sender.abort()
                sender.join(5.0)

    def _run(self) -> None:
        while True:
            try:
                self._follow({destination.name: destination for destination in self._destinations()})
            except Exception as error:
                log.warning("dispatcher waits for the database", error=type(error).__name__)
            if self._stop_event.wait(LOOK_SECONDS):
                return

    def _follow(self, wanted: dict[str, Destination]) -> None:
        for name, sender in list(self._senders.items()):
            if wanted.get(name) != sender.destination or not sender.is_alive():
                sender.stop()
                if not sender.is_alive():
                    del self._senders[name]
        for name, destination in wanted.items():
            if name not in self._senders:
                sender = self._senders[name] = self._make_sender(destination)
                sender.start()
