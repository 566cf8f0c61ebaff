"""Orthanc as the demo's PACS: Debian's package, on loopback, with its storage in the demo's folder."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from dicomnode.cli.process import LOOPBACK, Child, free_ports, listens

_START_SECONDS = 30.0
_DOWNLOAD_SECONDS = 120.0
_UNPACK_SECONDS = 180.0
_NO_SERVICES = Path("/usr/sbin/policy-rc.d")


def find_orthanc() -> Path | None:
    """The installed program; Debian puts it where only root's PATH looks."""
    found = shutil.which("Orthanc", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    return Path(found) if found else None


def install_orthanc(say: Callable[[str], None]) -> Path | None:
    """Install Debian's package where this process may, and say so; None where it may not or cannot.

    Only the downloads are cut short when the time is up: unpacking is local, and better not interrupted.
    """
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return None
    say("Orthanc is not installed: installing Debian's package with apt-get (`apt-get remove orthanc` undoes it)")
    options = ["-qq", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=30"]
    steps = (
        (["update", "-qq"], _DOWNLOAD_SECONDS),
        (["install", *options, "--download-only", "orthanc"], _DOWNLOAD_SECONDS),
        (["install", *options, "--no-download", "orthanc"], _UNPACK_SECONDS),
    )
    try:
        with _services_down():
            for arguments, seconds in steps:
                if not _apt_get(arguments, seconds):
                    say(f"`apt-get {' '.join(arguments)}` did not succeed")
                    return None
    except OSError as error:
        say(f"this machine does not let itself be changed: {error}")
        return None
    return find_orthanc()


@contextmanager
def _services_down() -> Iterator[None]:
    """Debian starts what it installs as a service unless this file says no (invoke-rc.d(8)); an existing one stays."""
    if _NO_SERVICES.exists():
        yield
        return
    _NO_SERVICES.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    try:
        _NO_SERVICES.chmod(0o755)
        yield
    finally:
        _NO_SERVICES.unlink(missing_ok=True)


def _apt_get(arguments: list[str], seconds: float) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            ["apt-get", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class OrthancPacs:
    """A running Orthanc. `download` goes through its REST API."""

    ae_title = "ORTHANC"

    def __init__(self, program: Path, folder: Path, lock: int) -> None:
        self.port, self._http = free_ports(2)
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "orthanc.json"
        config.write_text(json.dumps(self._configuration(folder), indent=2), encoding="utf-8")
        self._child = Child("Orthanc", [program, config], folder / "orthanc.log", lock)
        try:
            self._child.wait_until(lambda: listens(self._http) and listens(self.port), _START_SECONDS, "Orthanc")
            self._version = str(self._get_json("/system")["Version"])
        except BaseException:
            self._child.stop()
            raise

    @property
    def pid(self) -> int:
        return self._child.pid

    def words(self) -> str:
        return f"Orthanc {self._version}"

    def address(self) -> str:
        return f"http://{LOOPBACK}:{self._http}/"

    def download(self, series_uid: str) -> list[Dataset]:
        for row in self._get_json("/series?expand"):
            if row["MainDicomTags"]["SeriesInstanceUID"] == series_uid:
                return [dcmread(BytesIO(self._get(f"/instances/{each}/file"))) for each in row["Instances"]]
        return []

    def stop(self) -> None:
        self._child.stop()

    def _configuration(self, folder: Path) -> dict[str, Any]:
        return {
            "Name": "dicomnode demo",
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomAet": self.ae_title,
            "DicomCheckCalledAet": True,
            "DicomPort": self.port,
            "HttpPort": self._http,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [],
        }

    def _get_json(self, path: str) -> Any:
        return json.loads(self._get(path))

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection(LOOPBACK, self._http, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise OSError(f"Orthanc answered {response.status} to GET {path}")
        return content
