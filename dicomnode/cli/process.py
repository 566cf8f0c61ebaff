"""Processes that a command starts, and stops again by their own IDs whatever happens."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path

from dicomnode.cli.common import fail

LOOPBACK = "127.0.0.1"
_PATIENCE = 30.0


class Child:
    """A program in a session of its own, so that Ctrl-C reaches us alone and stopping reaches its workers too."""

    def __init__(self, name: str, command: Sequence[str | Path], log: Path, lock: int | None = None) -> None:
        """`lock`: a file descriptor that the child holds open for as long as it lives."""
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=clean_environment(),
                start_new_session=True,
                pass_fds=() if lock is None else (lock,),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for `ready`. Raises CommandFailed with the end of the log when the program ends or the time does."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.require_alive()
            if time.monotonic() > deadline:
                fail(f"waited {seconds:g} s for {what}{self.last_words()}")
            time.sleep(0.05)

    def require_alive(self) -> None:
        """Raises CommandFailed with the end of the log if the program has ended."""
        status = self._process.poll()
        if status is not None:
            fail(f"{self.name} ended by itself with status {status}{self.last_words()}")

    def last_words(self, lines: int = 12) -> str:
        """Where the log is and how it ends, to be put behind a sentence."""
        if not self.log.exists():
            return ""
        with self.log.open(encoding="utf-8", errors="replace") as file:
            tail = "".join(f"  {line}" for line in deque(file, lines)).rstrip()
        return f"; the end of its log, {self.log}:\n{tail}" if tail else f"; its log, {self.log}, is empty"

    def stop(self) -> None:
        """SIGTERM, time to drain, then SIGKILL to whatever is left of the session."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                pass
            except BaseException:  # a second Ctrl-C: no more patience, but nothing is left behind
                self._end_session()
                raise
        self._end_session()

    def _end_session(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


def python(*arguments: str | Path) -> list[str | Path]:
    """A command for this same interpreter."""
    return [sys.executable, *arguments]


def clean_environment(**more: str) -> Mapping[str, str]:
    """This environment without settings of a node, which would go over the demo's own configuration."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DICOMNODE_")} | more


def free_ports(count: int) -> list[int]:
    """Distinct TCP ports that nobody listens on, below the range that the kernel takes outgoing connections from."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(12_000, 32_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def listens(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection((LOOPBACK, port), 1.0):
            return True
    except OSError:
        return False


def is_ready(web_port: int) -> bool:
    """Whether a node with this web port says that it listens."""
    connection = HTTPConnection(LOOPBACK, web_port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
