"""The node as it is measured: whole, or its receiving processes alone."""

import json
import sqlite3
import sys
from abc import abstractmethod
from collections import Counter
from pathlib import Path

import dicomnode
from dicomnode.cli.bench.network import processes, receiving_node
from dicomnode.cli.bench.network.peer import SECONDS_TO_START, Peer, with_environment
from dicomnode.cli.process import Child, free_ports, is_ready, listens, python
from dicomnode.store.journal import CONTAINERS
from dicomnode.store.members import InstanceMember, members

PACKAGES = {"PYTHONPATH": str(Path(dicomnode.__file__).parents[1])}
"""For programs that are started by their file and import no more of the package than they need."""

_RECEIVES = "-m dicomnode.receive"
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
[completion]
quiet_seconds = 3600
[engine]
devices = []
[web]
port = {web}
[log]
level = "error"
"""


class _Node(Peer):
    """A node under `folder`. `count`: receiving processes, or "auto"."""

    called = "DICOMNODE"

    def __init__(self, count: str = "auto") -> None:
        super().__init__()
        self._count = count
        self._dicom = self._web = 0
        self._folder = Path()

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._dicom, self._web = free_ports(2)
        count = json.dumps(int(self._count) if self._count.isdigit() else self._count)
        config = folder / "dicomnode.toml"
        config.write_text(_SETTINGS.format(dicom=self._dicom, web=self._web, processes=count), encoding="utf-8")
        command = with_environment(*self._command(config), variables=PACKAGES)
        self.children = [Child(self.title, command, folder / "node.log")]

    def wait_ready(self) -> None:
        (child,) = self.children
        child.wait_until(self._ready, SECONDS_TO_START, f"{self.title} to be ready")

    def port(self, associations: int) -> int:
        return self._dicom

    def receivers(self) -> list[int]:
        return [pid for pid in super().receivers() if _RECEIVES in processes.command(pid)]

    @abstractmethod
    def _command(self, config: Path) -> list[str | Path]: ...

    @abstractmethod
    def _ready(self) -> bool: ...


class WholeNode(_Node):
    """`serve` with its index. What it holds is what its index has.

    No worker, since nothing is to be enhanced; and no series is complete while it is measured: what is done then would
    fall into another row.
    """

    key, title = "node", "dicomnode"

    def stored(self) -> int:
        database = sqlite3.connect(f"file:{self._folder / 'dicomnode.db'}?mode=ro", uri=True, timeout=30)
        try:
            return int(database.execute("SELECT count(*) FROM instance").fetchone()[0])
        finally:
            database.close()

    def _command(self, config: Path) -> list[str | Path]:
        return python("-m", "dicomnode", "serve", "--config", config)

    def _ready(self) -> bool:
        return is_ready(self._web)


class ReceivingNode(_Node):
    """The receiving processes with their store, and no index. What it holds is what its receipts attest."""

    key, title = "receiving", "dicomnode, receiving alone"

    def __init__(self, count: str = "auto") -> None:
        super().__init__(count)
        self._offsets: Counter[str] = Counter()
        self._seen = 0

    def start(self, folder: Path) -> None:
        self._offsets, self._seen = Counter(), 0
        super().start(folder)

    def stored(self) -> int:
        """Counts on from where it stopped the last time."""
        store = self._folder / "store"
        for path in sorted((store / CONTAINERS).glob("*.tar")):
            name = f"{CONTAINERS}/{path.name}"
            for member in members(store, name, self._offsets[name], verify=False):
                self._offsets[name] = member.next_offset
                self._seen += isinstance(member, InstanceMember)
        return self._seen

    def _command(self, config: Path) -> list[str | Path]:
        return [sys.executable, receiving_node.__file__, config]

    def _ready(self) -> bool:
        return listens(self._dicom)
