"""Where there is no Orthanc: a Storage SCP that keeps files in a folder. It finds nothing and shows nothing.

`python -m dicomnode.cli.demo.stand_in PORT AE_TITLE FOLDER` runs it until SIGTERM.
"""

import signal
import sys
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.events import Event

from dicomnode.cli.process import LOOPBACK, Child, free_ports, listens, python

_START_SECONDS = 30.0


class StandIn:
    """The running stand-in."""

    ae_title = "STANDIN"

    def __init__(self, folder: Path, lock: int) -> None:
        (self.port,) = free_ports(1)
        self._files = folder / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        command = python("-m", __name__, str(self.port), self.ae_title, self._files)
        self._child = Child("the stand-in", command, folder / "stand-in.log", lock)
        try:
            self._child.wait_until(lambda: listens(self.port), _START_SECONDS, "the stand-in")
        except BaseException:
            self._child.stop()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    def words(self) -> str:
        return "a stand-in that keeps what it is sent as files, not a PACS"

    def address(self) -> str:
        return str(self._files)

    def download(self, series_uid: str) -> list[Dataset]:
        found = [dcmread(path) for path in self._files.glob("*.dcm")]
        return [dataset for dataset in found if dataset.SeriesInstanceUID == series_uid]

    def stop(self) -> None:
        self._child.stop()


def run(port: int, ae_title: str, folder: Path) -> None:
    """Accept every storage class in every transfer syntax, one file per SOP Instance UID, until SIGTERM."""

    def store(event: Event) -> int:
        uid = UID(str(event.request.AffectedSOPInstanceUID))
        if not uid.is_valid:  # it becomes a file name
            return 0x0117
        partial = folder / f"{uid}.partial"
        partial.write_bytes(event.encoded_dataset())
        partial.rename(folder / f"{uid}.dcm")
        return 0x0000

    scp = AE(ae_title)
    scp.require_called_aet = True
    scp.add_supported_context("1.2.840.10008.1.1")
    for context in AllStoragePresentationContexts:
        scp.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    server = scp.start_server((LOOPBACK, port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    if server is not None:
        server.shutdown()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    run(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
