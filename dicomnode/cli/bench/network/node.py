"""The node as it is measured: whole, or its receiving processes alone."""

import json
import sqlite3
import sys
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path

import dicomnode
from dicomnode.cli.bench.network import processes, receiving_node
from dicomnode.cli.bench.network.peer import SECONDS_TO_START, Peer, with_environment
from dicomnode.cli.process import LOOPBACK, Child, free_ports, listens, python
from dicomnode.store.journal import CONTAINERS
from dicomnode.store.members import InstanceMember, members

PACKAGES = {"PYTHONPATH": str(Path(dicomnode.__file__).parents[1])}
"""For programs that are started by their file and import no more of the package than they need."""

_RECEIVES = "dicomnode.receive"
_SETTINGS = """\
[node]
name = "bench"
[dicom]
ae_title = "DICOMNODE"
port = {dicom}
processes = {processes}
[database]
url = "sqlite:///dicomnode.db"
[store]
root = "store"
min_free_gb = 0
[engine]
devices = []
[web]
port = {web}
[log]
level = "error"
"""


class _Node(Peer):
    """`count`: receiving processes, or "auto"."""

    called = "DICOMNODE"

    def __init__(self, count: str = "auto") -> None:
        super().__init__()
        self._processes = count
        self._dicom = 0

    def port(self, associations: int) -> int:
        return self._dicom

    def receivers(self) -> list[int]:
        everyone = super().receivers()
        return [pid for pid in everyone if _RECEIVES in processes.command(pid)] or everyone


class WholeNode(_Node):
    """`serve` with its index; no worker, since nothing is to be enhanced. What it holds is what its index has."""

    key, title = "node", "dicomnode"

    def __init__(self, count: str = "auto") -> None:
        super().__init__(count)
        self._web = 0
        self._database = Path()

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._dicom, self._web = free_ports(2)
        config = folder / "dicomnode.toml"
        count = json.dumps(int(self._processes) if self._processes.isdigit() else self._processes)
        settings = _SETTINGS.format(dicom=self._dicom, web=self._web, processes=count)
        config.write_text(settings, encoding="utf-8")
        self._database = folder / "dicomnode.db"
        command = with_environment(*python("-m", "dicomnode", "serve", "--config", config), variables=PACKAGES)
        self.children = [Child(self.title, command, folder / "node.log")]

    def wait_ready(self) -> None:
        (child,) = self.children
        child.wait_until(self._ready, SECONDS_TO_START, "the node to be ready")

    def stored(self) -> int:
        connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM instance").fetchone()[0])
        finally:
            connection.close()

    def _ready(self) -> bool:
        connection = HTTPConnection(LOOPBACK, self._web, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class ReceivingNode(_Node):
    """The receiving processes with their store, and no index. What it holds is what its receipts attest."""

    key, title = "receiving", "dicomnode, receiving alone"

    def __init__(self, count: str = "auto") -> None:
        super().__init__(count)
        self._store = Path()
        self._offsets: Counter[str] = Counter()
        self._count = 0

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._store, self._offsets, self._count = folder / "store", Counter(), 0
        (self._dicom,) = free_ports(1)
        program = Path(receiving_node.__file__)
        command: list[str | Path] = [sys.executable, program, self._store, str(self._dicom)]
        self.children = [Child(self.title, with_environment(*command, variables=PACKAGES), folder / "node.log")]

    def wait_ready(self) -> None:
        (child,) = self.children
        child.wait_until(lambda: listens(self._dicom), SECONDS_TO_START, "the receiving processes")

    def stored(self) -> int:
        for path in sorted((self._store / CONTAINERS).glob("*.tar")):
            name = f"{CONTAINERS}/{path.name}"
            for member in members(self._store, name, self._offsets[name], verify=False):
                self._offsets[name] = member.next_offset
                self._count += isinstance(member, InstanceMember)
        return self._count
