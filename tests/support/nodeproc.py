"""The node as an administrator runs it: `serve` in a process of its own, the command line for everything else."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import pytest
from support.commands import run_command
from support.peers import free_port

_REPOSITORY = Path(__file__).resolve().parents[2]
_T = TypeVar("_T")


class Node:
    """A node under `root`: its config file, database, store and log lie there. Sections of the file are keywords.

    `Node(tmp_path, site_yaml=..., completion={"quiet_seconds": 2})`; `site_yaml` is imported at the first start.
    """

    def __init__(
        self,
        root: Path,
        *,
        site_yaml: str | None = None,
        env: Mapping[str, str] | None = None,
        **settings: Mapping[str, Any],
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root, self.config, self.log = root, root / "dicomnode.toml", root / "node.log"
        self.settings = _merged(_defaults(), settings)
        self.config.write_text(_toml(self.settings), encoding="utf-8")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DICOMNODE_")}
        own = {"PYTHONPATH": str(_REPOSITORY), "DICOMNODE_CONFIG": str(self.config), "OMP_NUM_THREADS": "1"}
        self.env = {**inherited, **own, **(env or {})}
        self._site_yaml = site_yaml
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def ae_title(self) -> str:
        return str(self.settings["dicom"]["ae_title"])

    @property
    def dicom_port(self) -> int:
        return int(self.settings["dicom"]["port"])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings['web']['port']}"

    @property
    def pid(self) -> int:
        """Process ID of `serve`; it is also the ID of its process group."""
        assert self._process is not None, "the node is not running"
        return self._process.pid

    def start(self, *, ready: bool = True) -> None:
        """Start `serve` in a process group of its own; wait until it is ready unless told not to."""
        assert self._process is None, "the node is running already"
        command = [sys.executable, "-m", "dicomnode", "serve", "--config", str(self.config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.root, env=self.env, start_new_session=True
            )
        if not ready:
            return
        self.wait_ready()
        if self._site_yaml is not None:
            self.import_site(self._site_yaml)
            self._site_yaml = None

    def wait_ready(self, seconds: float = 180.0) -> None:
        """Wait until `/readyz` answers 200; fail with the log if the node ends instead."""
        self.wait_until(self._is_ready, seconds, "the node to be ready")

    def import_site(self, yaml: str) -> None:
        """Replace all site data: `site import`."""
        file = self.root / "site.yaml"
        file.write_text(yaml, encoding="utf-8")
        self.cli("site", "import", str(file), as_json=False)

    def cli(self, *args: str, as_json: bool = True, check: bool = True, timeout: float = 180.0) -> Any:
        """Run a command with this node's config. The parsed `--json` document, or the text of stdout.

        With `check=False` the CompletedProcess itself, whatever its exit status.
        """
        command = [*args, "--config", str(self.config)]
        if as_json and check:
            command.append("--json")
        done = run_command(command, cwd=self.root, env=self.env, timeout=timeout)
        if not check:
            return done
        if done.returncode != 0:
            pytest.fail(f"dicomnode {' '.join(args)} ended with {done.returncode}:\n{done.stderr}{done.stdout}")
        return json.loads(done.stdout) if as_json else done.stdout

    def wait_until(self, predicate: Callable[[], _T], seconds: float, why: str) -> _T:
        """The first true value of `predicate()`; on time-out, or if the node ends, fail with the tail of its log."""
        deadline = time.monotonic() + seconds
        while True:
            value = predicate()
            if value:
                return value
            if self._process is not None and self._process.poll() is not None:
                pytest.fail(f"the node ended with {self._process.returncode} (waiting for {why})\n{self.log_tail()}")
            if time.monotonic() > deadline:
                pytest.fail(f"waited {seconds:g} s for {why}\n{self.log_tail()}")
            time.sleep(0.1)

    def log_tail(self, lines: int = 60) -> str:
        """The last lines of the node's log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def children(self) -> dict[int, str]:
        """Command line of each process of this node but `serve` itself, by process ID: its workers, orphans too."""
        marker = f"DICOMNODE_CONFIG={self.config}\0".encode()
        running = self._process.pid if self._process is not None else None
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == running:
                continue
            with contextlib.suppress(OSError):  # it ended while we looked, or is not ours to look at
                if marker in (entry / "environ").read_bytes() + b"\0":
                    found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return found

    def receivers(self) -> list[int]:
        """Process IDs of its receiving processes, orphans too."""
        return [pid for pid, command in self.children().items() if command.endswith("-m dicomnode.receive")]

    def kill9(self, *, workers: bool = True) -> None:
        """SIGKILL to the node and its workers at once; with `workers=False` to `serve` alone, orphaning them."""
        if workers:
            with contextlib.suppress(ProcessLookupError):  # it was dead, and they have ended by themselves since
                os.killpg(self.pid, signal.SIGKILL)
        else:
            os.kill(self.pid, signal.SIGKILL)
        self._reap()

    def terminate(self, seconds: float = 120.0) -> int:
        """SIGTERM and wait: the node drains. Returns its exit status; fails if it does not end in time."""
        assert self._process is not None, "the node is not running"
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
            pytest.fail(f"the node did not end within {seconds:g} s of SIGTERM\n{self.log_tail()}")
        self._process = None
        return status

    def restart(self) -> None:
        """SIGTERM if it runs, then start again on the same files and ports."""
        if self._process is not None:
            self.terminate()
        self.start()

    def stop(self) -> None:
        """End whatever is left of the node and its workers. For the end of a test: never fails."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15.0)
            self._process.kill()
            self._reap()
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _defaults() -> dict[str, dict[str, Any]]:
    return {
        "dicom": {"ae_title": "DICOMNODE", "host": "127.0.0.1", "port": free_port()},
        "database": {"url": "sqlite:///var/dicomnode.db"},
        "store": {"root": "var/store", "min_free_gb": 0},
        "completion": {"quiet_seconds": 1.0, "grace_seconds": 0.2},
        "engine": {"kind": "local", "devices": ["cpu"]},
        "pipelines": {"path": "pipelines"},
        "web": {"host": "127.0.0.1", "port": free_port()},
    }


def _merged(base: dict[str, dict[str, Any]], changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {**base.get(name, {}), **changes.get(name, {})} for name in {**base, **changes}}


def _toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML of flat sections: its strings, numbers, booleans and lists are spelled as in JSON."""
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            if isinstance(value, Mapping):
                inner = ", ".join(f"{json.dumps(name)} = {json.dumps(item)}" for name, item in value.items())
                lines.append(f"{key} = {{ {inner} }}")
            else:
                lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"
