"""The node's receiving processes and their store, without index, web and workers. Run as a file: STORE PORT."""

import signal
import sys
import threading
from pathlib import Path

from dicomnode.receive.receiver import ReceiverSettings, StorageReceiver
from dicomnode.store.journal import Journal


def main(store: Path, port: int) -> None:
    """Receive until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    journal = Journal(store, "bench", "main", min_free_gb=0)
    receiver = StorageReceiver(ReceiverSettings(port=port), journal)
    receiver.start()
    stop.wait()
    receiver.stop(0)
    journal.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
