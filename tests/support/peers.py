"""Real peers for tests: Orthanc as the PACS, DCMTK as modality and Storage SCP, on loopback, in temporary folders."""

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

ORTHANC = Path("/usr/sbin/Orthanc")
WITHOUT_PEERS = "DICOMNODE_TESTS_WITHOUT_PEERS"


_PORTS = 2_500
"""Of each test process."""
_ASKED = itertools.count(random.randrange(_PORTS))  # not seeded: two test runs on one machine must not agree


def free_port() -> int:
    """A TCP port on loopback that nobody listens on.

    Taken below the kernel's range for outgoing connections, so that none of those takes it before a server binds it;
    each test process from a share of its own, so that none takes what another's node will bind again; and one after the
    other, since a cluster asks for a dozen before it binds the first: drawn blindly, two of them are the same at times.
    """
    first = 12_000 + _PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8)
    for number in itertools.islice(_ASKED, _PORTS):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first + number % _PORTS))
            except OSError:
                continue
            return first + number % _PORTS
    raise RuntimeError("no free port found")


def wait_for_port(port: int, process: "subprocess.Popen[bytes] | None" = None, seconds: float = 60.0) -> None:
    """Wait until something accepts connections on the port; fail at once if `process` ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            pytest.fail(f"the peer ended with exit status {process.returncode} before it listened on port {port}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1.0):
                return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"nothing listened on port {port} within {seconds:g} s")


def require_orthanc() -> None:
    """Fail, in plain words, where Orthanc is not installed. The tests marked `peers` can be left out on purpose."""
    if not ORTHANC.exists():
        pytest.fail(
            f"this test needs Orthanc at {ORTHANC}: install it, or set {WITHOUT_PEERS}=1 to leave out such tests"
        )


@cache
def dcmtk(tool: str) -> str:
    """Full path of a DCMTK tool. pynetdicom installs scripts with the same names: the version text tells them apart."""
    path = Path("/usr/bin") / tool
    if not path.exists():
        pytest.fail(f"this test needs DCMTK's {path}: install it, or set {WITHOUT_PEERS}=1 to leave out such tests")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    assert "dcmtk" in version, f"{path} is not DCMTK's"
    return str(path)


def storescu(
    files: Iterable[Path], port: int, called: str, calling: str, *flags: str, timeout: float = 120.0
) -> "subprocess.CompletedProcess[str]":
    """Send files with DCMTK's storescu; the caller checks `returncode` and reads `stdout` and `stderr`.

    DCMTK proposes only uncompressed syntaxes unless told otherwise: pass e.g. `-xs` for JPEG lossless files.
    It sends without Nagle's algorithm, unlike a bare storescu: 40 ms for each instance would be spent waiting.
    """
    command = [dcmtk("storescu"), *flags, "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, files)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def echoscu(port: int, called: str, calling: str = "ECHOSCU") -> bool:
    """C-ECHO with DCMTK's echoscu: True if it succeeded."""
    command = [dcmtk("echoscu"), "-aet", calling, "-aec", called, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, timeout=60.0, check=False).returncode == 0


class _Peer:
    """A peer's process: started, stopped by its own process ID, and usable in a `with` statement."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the peer is not running"
        return self._process.pid

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Stop with SIGTERM, and with SIGKILL if that is not heeded."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(15.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop and start again: same ports, same storage."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: the peer keeps its connections and falls silent."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: the peer goes on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What it holds is thrown away: Orthanc would take seconds to put it in order.
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class StoreScp(_Peer):
    """DCMTK's storescp, receiving into `folder`; `flags` as on its command line (e.g. "--ignore", "-aet")."""

    def __init__(self, folder: Path, *flags: str, port: int | None = None) -> None:
        super().__init__()
        self.folder, self.flags, self.port = folder, flags, port or free_port()

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [dcmtk("storescp"), *self.flags, "-od", str(self.folder), str(self.port)]
        log = (self.folder.parent / f"storescp-{self.port}.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for_port(self.port, self._process)

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())


class Orthanc(_Peer):
    """Debian's Orthanc with on-disk storage under `root` and its HTTP API. It keeps the first of two equal UIDs.

    `options` are Orthanc's own, e.g. `DicomAlwaysAllowStore=False`. Identifiers in the methods are DICOM UIDs unless
    the name says `orthanc_id`.
    """

    def __init__(
        self,
        root: Path,
        *,
        ae_title: str = "ORTHANC",
        dicom_port: int | None = None,
        http_port: int | None = None,
        **options: Any,
    ) -> None:
        require_orthanc()
        super().__init__()
        self.root, self.ae_title = root, ae_title
        self.dicom_port = dicom_port or free_port()
        self.http_port = http_port or free_port()
        self.options = options
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60.0, trust_env=False)

    def start(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        config = self.root / "orthanc.json"
        config.write_text(json.dumps(self._configuration()), encoding="utf-8")
        with (self.root / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([ORTHANC, config], stdout=log, stderr=log, cwd=self.root)
        wait_for_port(self.http_port, self._process)
        wait_for_port(self.dicom_port, self._process)

    def _configuration(self) -> dict[str, Any]:
        return {
            "Name": self.ae_title,
            "StorageDirectory": str(self.root / "storage"),
            "IndexDirectory": str(self.root / "storage"),
            "DicomAet": self.ae_title,
            "DicomCheckCalledAet": True,
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "OverwriteInstances": False,
            "UnknownSopClassAccepted": True,
            "StableAge": 1,
            "Plugins": [],
            **self.options,
        }

    def get(self, path: str) -> Any:
        """JSON of a GET on the HTTP API."""
        return self._get(path).json()

    def statistics(self) -> dict[str, Any]:
        """Counts of patients, studies, series and instances, and sizes."""
        return dict(self.get("/statistics"))

    def instance_count(self) -> int:
        """Instances held in all."""
        return int(self.statistics()["CountInstances"])

    def studies(self) -> list[str]:
        """Study Instance UIDs."""
        return sorted(row["MainDicomTags"]["StudyInstanceUID"] for row in self.get("/studies?expand"))

    def series(self, study_uid: str | None = None) -> list[str]:
        """Series Instance UIDs, of one study or of all."""
        return sorted(row["MainDicomTags"]["SeriesInstanceUID"] for row in self._series_rows(study_uid))

    def series_tags(self, series_uid: str) -> dict[str, str]:
        """Main tags of a series: Modality, SeriesDescription, SeriesNumber, ..."""
        return dict(self._series_row(series_uid)["MainDicomTags"])

    def instances(self, series_uid: str) -> dict[str, str]:
        """Orthanc's ID of each instance of a series, by SOP Instance UID."""
        rows = self.get(f"/series/{self._series_row(series_uid)['ID']}/instances?expand")
        return {row["MainDicomTags"]["SOPInstanceUID"]: row["ID"] for row in rows}

    def sop_uids(self, series_uid: str) -> set[str]:
        """SOP Instance UIDs of a series."""
        return set(self.instances(series_uid))

    def download(self, orthanc_id: str) -> bytes:
        """The Part 10 file of an instance, by Orthanc's ID."""
        return self._get(f"/instances/{orthanc_id}/file").content

    def download_series(self, series_uid: str) -> dict[str, bytes]:
        """The Part 10 files of a series, by SOP Instance UID."""
        return {uid: self.download(orthanc_id) for uid, orthanc_id in self.instances(series_uid).items()}

    def _get(self, path: str) -> httpx.Response:
        """Asked again if it hangs up: it ends connections that were idle, at times just as they are used again."""
        for _ in range(3):
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                return self.http.get(path).raise_for_status()
        return self.http.get(path).raise_for_status()

    def _series_rows(self, study_uid: str | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("/series?expand")
        if study_uid is None:
            return rows
        studies = {row["ID"]: row["MainDicomTags"]["StudyInstanceUID"] for row in self.get("/studies?expand")}
        return [row for row in rows if studies[row["ParentStudy"]] == study_uid]

    def _series_row(self, series_uid: str) -> dict[str, Any]:
        for row in self._series_rows():
            if row["MainDicomTags"]["SeriesInstanceUID"] == series_uid:
                return row
        raise KeyError(f"Orthanc holds no series {series_uid}")
