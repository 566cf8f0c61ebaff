"""Orthanc as Debian sets it up, with ports and folders of its own and without plugins."""

import json
import subprocess
from functools import cache
from http.client import HTTPConnection
from pathlib import Path

from dicomnode.cli.bench.network.peer import SECONDS_TO_START, Peer, with_environment
from dicomnode.cli.process import LOOPBACK, Child, free_ports, listens

PROGRAM = Path("/usr/sbin/Orthanc")


@cache
def version() -> str | None:
    """Its version; None where it is not installed."""
    if not PROGRAM.is_file():
        return None
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return told[1] if len(told) > 1 else None


class Orthanc(Peer):
    """An index in SQLite, a file for each instance. `sync` is its SyncStorageArea, on by default: fsync for each.

    `helped`: without Nagle's algorithm, which it has as it comes.
    """

    called = "ORTHANC"

    def __init__(self, key: str = "orthanc", title: str = "Orthanc", *, sync: bool = True, helped: bool = True) -> None:
        super().__init__()
        self.key, self.title, self._sync, self._helped = key, title, sync, helped
        self._dicom = self._http = 0
        self.rows = () if helped else ("nagle",)

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._dicom, self._http = free_ports(2)
        config = folder / "orthanc.json"
        config.write_text(json.dumps(self._configuration(folder / "storage")), encoding="utf-8")
        command = with_environment(PROGRAM, config) if self._helped else [PROGRAM, config]
        self.children = [Child(self.title, command, folder / "orthanc.log")]

    def wait_ready(self) -> None:
        (child,) = self.children
        child.wait_until(lambda: listens(self._http) and listens(self._dicom), SECONDS_TO_START, self.title)

    def port(self, associations: int) -> int:
        return self._dicom

    def stored(self) -> int:
        connection = HTTPConnection(LOOPBACK, self._http, timeout=30)
        try:
            connection.request("GET", "/statistics")
            return int(json.loads(connection.getresponse().read())["CountInstances"])
        finally:
            connection.close()

    def _configuration(self, storage: Path) -> dict[str, object]:
        return {
            "StorageDirectory": str(storage),
            "IndexDirectory": str(storage),
            "DicomAet": self.called,
            "DicomPort": self._dicom,
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "SyncStorageArea": self._sync,
            "Plugins": [],
        }
