"""DCMTK's tools, by full path: pynetdicom installs scripts of the same names."""

import subprocess
from functools import cache
from pathlib import Path

from dicomnode.cli.bench.network.peer import SECONDS_TO_START, Peer, with_environment
from dicomnode.cli.process import Child, free_ports, listens

_FOLDER = Path("/usr/bin")


def tool(name: str) -> Path:
    """Where Debian puts it."""
    return _FOLDER / name


@cache
def version(name: str) -> str | None:
    """DCMTK's version, of this tool; None where it is not installed."""
    if not tool(name).is_file():
        return None
    told = subprocess.run([tool(name), "--version"], capture_output=True, text=True, check=False).stdout
    words = told.partition("\n")[0].split()
    return words[words.index(name) + 1].removeprefix("v") if "$dcmtk:" in words and name in words else None


class StoreScp(Peer):
    """DCMTK's storescp, which never syncs; one that forks for parallel associations stands beside it."""

    called = "STORESCP"

    def __init__(self, key: str, title: str, *flags: str) -> None:
        super().__init__()
        self.key, self.title, self._flags = key, title, flags
        self._out = Path()
        self._ports: list[int] = []

    def start(self, folder: Path) -> None:
        self._out = folder / "received"
        self._out.mkdir(parents=True)
        self._ports = free_ports(2)
        for port, more in zip(self._ports, ((), ("--fork",)), strict=True):
            command: list[str | Path] = [tool("storescp"), *self._flags, *more, "-od", self._out, str(port)]
            self.children.append(Child(self.title, with_environment(*command), folder / f"{port}.log"))

    def wait_ready(self) -> None:
        for child, port in zip(self.children, self._ports, strict=True):
            child.wait_until(lambda port=port: listens(port), SECONDS_TO_START, self.title)  # type: ignore[misc]

    def port(self, associations: int) -> int:
        return self._ports[associations > 1]

    def stored(self) -> int:
        return sum(1 for _ in self._out.iterdir())


class Discarding(StoreScp):
    """storescp that throws away what it gets: says what a sender can do, or holds a sender up least."""

    keeps = False

    def __init__(self) -> None:
        super().__init__("discarding", "storescp --ignore", "--ignore")
