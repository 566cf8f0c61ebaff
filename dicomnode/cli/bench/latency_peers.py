"""What a series passes on its way: the PACS at its end, and a router or a node before it."""

import json
import sqlite3
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from dicomnode.cli.bench.network.node import PACKAGES
from dicomnode.cli.bench.network.orthanc import Orthanc
from dicomnode.cli.bench.network.peer import SECONDS_TO_START, Peer, with_environment
from dicomnode.cli.common import fail
from dicomnode.cli.process import LOOPBACK, Child, clean_environment, free_ports, is_ready, python

LOOK_SECONDS = 0.02
_TIMES_ASKED = 50
_FORWARD = "function OnStableSeries(id, tags, metadata)\n  RestApiPost('/modalities/pacs/store', id)\nend\n"
_SETTINGS = """\
[node]
name = "bench"
[dicom]
ae_title = "DICOMNODE"
port = {dicom}
[database]
url = "sqlite:///dicomnode.db"
[store]
root = "store"
min_free_gb = 0
[engine]
devices = ["cpu"]
{engine}
[delivery]
{delivery}
[web]
port = {web}
[log]
level = "warning"
"""


class Pacs(Orthanc):
    """The PACS: Orthanc with Debian's storage defaults, without Nagle's algorithm."""

    def __init__(self) -> None:
        super().__init__("pacs", "the PACS alone")

    @property
    def http_port(self) -> int:
        return self._http


class Watch:
    """Looks at how many instances a PACS has in its index, again and again, until it has all that are expected."""

    def __init__(self, pacs: Pacs, count: int) -> None:
        """Begins with what the PACS has now; `count` more are expected."""
        self._connection = HTTPConnection(LOOPBACK, pacs.http_port, timeout=30)
        self._before = self._count()
        self._expected = self._before + count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.none_until = 0.0
        """When a look began that saw none of them, on the monotonic clock."""
        self.first = self.last = 0.0
        """When a look ended that saw some of them, and all."""
        self._seen = self._before
        self._thread.start()

    def wait(self, seconds: float, what: str) -> None:
        """Return when all are there. Raises CommandFailed."""
        self._thread.join(seconds)
        self._over.set()
        self._thread.join()
        self._connection.close()
        if self._seen != self._expected:
            fail(f"{what}: {self._seen - self._before} of {self._expected - self._before} reached the PACS")

    def _look(self) -> None:
        while not self._over.is_set():
            asked = time.monotonic()
            self._seen, told = self._count(), time.monotonic()
            if self._seen == self._before:
                self.none_until = asked
            elif not self.first:
                self.first = told
            if self._seen >= self._expected:
                self.last = told
                return
            self._over.wait(LOOK_SECONDS)

    def _count(self) -> int:
        """Raises CommandFailed when it is not told, however often it is asked."""
        for _ in range(_TIMES_ASKED):
            try:
                self._connection.request("GET", "/statistics")
                return int(json.loads(self._connection.getresponse().read())["CountInstances"])
            except (HTTPException, OSError):  # an idle connection may be closed while the question is on its way
                self._connection.close()
                time.sleep(LOOK_SECONDS)
        fail("the PACS does not say how many instances it has")


class Router(Orthanc):
    """Orthanc as a router: what has been stable for so many seconds goes on to the PACS, as it came."""

    def __init__(self, stable_age: int, pacs: Pacs) -> None:
        super().__init__(f"router-{stable_age}", f"Orthanc as the router, StableAge {stable_age}")
        self.stable_age, self._pacs = stable_age, pacs

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._script = folder / "forward.lua"
        self._script.write_text(_FORWARD, encoding="utf-8")
        super().start(folder / "orthanc")

    def _configuration(self, storage: Path) -> dict[str, object]:
        return {
            **super()._configuration(storage),
            "DicomAet": "ROUTER",
            "StableAge": self.stable_age,
            "LuaScripts": [str(self._script)],
            "DicomModalities": {"pacs": [Pacs.called, LOOPBACK, self._pacs.port(1)]},
        }


@dataclass(frozen=True)
class Stages:
    """When a series reached each stage, as seconds of the wall clock; None: it never did, or nobody wrote it down."""

    complete: float | None
    claimed: float | None
    committed: float | None


class Node(Peer):
    """A whole node with one worker on the CPU, and a rule for each pipeline: by the description of the series."""

    called = "DICOMNODE"

    def __init__(self, key: str, pacs: Pacs, pipelines: Sequence[str], *, engine: str, delivery: str = "") -> None:
        """`engine` and `delivery`: lines of these sections of its settings."""
        super().__init__()
        self.key = self.title = key
        self._pacs, self._pipelines = pacs, pipelines
        self._engine, self._delivery = engine, delivery
        self._dicom = self._web = 0
        self._folder = Path()

    def start(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._dicom, self._web = free_ports(2)
        settings = _SETTINGS.format(dicom=self._dicom, web=self._web, engine=self._engine, delivery=self._delivery)
        self._config.write_text(settings, encoding="utf-8")
        command = python("-m", "dicomnode", "serve", "--config", self._config)
        self.children = [Child(self.title, with_environment(*command, variables=PACKAGES), folder / "node.log")]

    def wait_ready(self) -> None:
        (child,) = self.children
        child.wait_until(lambda: is_ready(self._web), SECONDS_TO_START, f"{self.title} to be ready")
        site = self._folder / "site.yaml"
        site.write_text(json.dumps(self._site()), encoding="utf-8")
        done = subprocess.run(
            python("-m", "dicomnode", "site", "import", site, "--config", self._config),
            env=clean_environment(**PACKAGES),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            fail(f"{self.title} does not take its rules: {done.stderr.strip()[-300:]}")

    def port(self, associations: int) -> int:
        return self._dicom

    def stored(self) -> int:
        return int(self._ask("SELECT count(*) FROM instance")[0][0])

    def stages(self, series_uid: str) -> Stages:
        """What the node's own database says of a series and its newest work."""
        found = self._ask(
            "SELECT s.completed_at, e.started_at, e.finished_at FROM series s"
            " LEFT JOIN enhancement e ON e.series_uid = s.uid WHERE s.uid = ?",
            series_uid,
        )
        return Stages(*(_wall(text) for text in found[0]))

    def indexed(self, series_uid: str) -> int:
        """How many instances of a series its index has."""
        return int(self._ask("SELECT count(*) FROM instance WHERE series_uid = ?", series_uid)[0][0])

    @property
    def _config(self) -> Path:
        return self._folder / "dicomnode.toml"

    def _ask(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self._folder / 'dicomnode.db'}?mode=ro", uri=True, timeout=30)) as found:
            return found.execute(query, values).fetchall()

    def _site(self) -> dict[str, Any]:
        pacs = {"name": "pacs", "kind": "dimse", "ae_title": Pacs.called, "host": LOOPBACK, "port": self._pacs.port(1)}
        rules = [
            {
                "name": pipeline,
                "state": "live",
                "when": {"attribute": "SeriesDescription", "equals": pipeline},
                "enhance": {"pipeline": pipeline},
                "deliver_to": ["pacs"],
            }
            for pipeline in self._pipelines
        ]
        return {"destinations": [pacs], "rules": rules}


def _wall(text: str | None) -> float | None:
    """Seconds since the epoch of an instant as SQLite has it, UTC."""
    if text is None:
        return None
    from datetime import UTC, datetime

    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
