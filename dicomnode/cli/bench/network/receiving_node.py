"""The node's receiving processes and their store, without index, web and workers. Run as a file, with a settings file.

Nothing takes anything out of the backlog here, so that it has no bound.
"""

import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from dicomnode.receive.launch import Launch
from dicomnode.receive.ports import Addresses
from dicomnode.receive.receivers import Receivers, process_count
from dicomnode.settings import load_settings

_DRAIN_SECONDS = 1.0


def main(config: Path) -> None:
    """Receive until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = load_settings(config)
    launch = replace(Launch.of(settings, _DRAIN_SECONDS), max_backlog=sys.maxsize)
    count = process_count(settings.dicom.processes)
    receivers = Receivers(launch, Addresses.of(settings.dicom), count, changed=lambda: None, died=lambda death: None)
    receivers.start()
    while not stop.wait(1.0):  # a signal that another thread gets does not end a wait without an end
        pass
    receivers.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
