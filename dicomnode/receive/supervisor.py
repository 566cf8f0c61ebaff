"""The receiving processes of a node: started, watched, started again when they die, drained at the end."""

import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from socket import socket

from dicomnode.receive.board import Board, Row, State
from dicomnode.receive.launch import Launch, Post, to_line
from dicomnode.receive.ports import Ports
from dicomnode.receive.tally import open_associations
from dicomnode.receive.tenancy import Tenancy

LOGGER = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "dicomnode.receive")

RESTART_FIRST, RESTART_CAP = 0.5, 30.0
STEADY_SECONDS = 5.0
"""One that lived so long is started again at once; what dies sooner, ever more slowly."""

_START_SECONDS = 60.0
_CUT_SECONDS = 5.0
"""Beyond the time to drain: for associations that are aborted then, and for the last data sync."""

_LOOK_AGAIN_SECONDS = 0.05
_LEAN = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""Receiving is no arithmetic; and a heap for each of dozens of threads would be tens of megabytes."""

_BOOT = re.compile(r"-([0-9a-f]{16})-\d+\.\w+$")


class NotServing(Exception):
    """A receiving process could not begin; it said why on standard error."""


@dataclass(frozen=True)
class Death:
    """A receiving process ended without being asked. `boot` is its journal's, empty if it had none yet."""

    process: int
    boot: str
    reason: str
    associations: int
    """How many it had open."""


@dataclass
class _Child:
    """One place among the receiving processes, and who fills it."""

    number: int
    row: Row
    process: "subprocess.Popen[bytes] | None" = None
    deaths: int = 0
    """Early ones in a row."""
    not_before: float = 0.0
    started: float = field(default=0.0)

    @property
    def boot(self) -> str:
        boot = self.row.get("boot")
        return f"{boot:016x}" if boot else ""

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def serves(self) -> bool:
        return self.runs and self.row.get("state") == State.SERVING


class Supervisor:
    """Keeps one receiving process for each row of the board. Its ports stay open while one is being replaced.

    A process reads its standard input, whose other end this one holds: when the node dies, however it dies, the pipe
    closes and the process ends by itself.
    """

    def __init__(self, launch: Launch, ports: Ports, board: Board, on_death: Callable[[Death], None]) -> None:
        """`on_death` is called from a thread of this object's, before the process is replaced; it must be quick."""
        self._launch, self._ports, self._board, self._on_death = launch, ports, board, on_death
        self._tenancy = Tenancy(launch.root, launch.node)
        self._children = [_Child(number, row) for number, row in enumerate(board.rows())]
        self._ended_in_order: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="receivers", daemon=True)

    @property
    def serving(self) -> bool:
        """Whether every process takes associations."""
        return all(child.serves for child in self._children)

    def trusted(self, container: str) -> bool:
        """Whether a container's journal was written in this run, by a process that is alive or ended in order.

        What such a process wrote reached the kernel as it was, and no power was lost since.
        """
        found = _BOOT.search(container)
        boot = found[1] if found else ""
        return boot in self._ended_in_order or any(child.runs and child.boot == boot for child in self._children)

    def start(self) -> None:
        """Start all, and wait until each takes associations. Raises NotServing and OSError; then none is left."""
        try:
            for child in self._children:
                self._spawn(child)
            deadline = time.monotonic() + _START_SECONDS
            for child in self._children:
                _await(child, deadline)
        except BaseException:
            self._end(0.0)
            raise
        self._thread.start()

    def stop(self) -> None:
        """Close the ports and drain for as long as the launch says; then kill what has not ended."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._ports.close()
        self._end(self._launch.drain_seconds + _CUT_SECONDS)

    def _end(self, seconds: float) -> None:
        running = [child for child in self._children if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        for child in running:
            assert child.process is not None
            try:
                code = child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                code = child.process.wait()
            self._bury(child, code)

    def _watch(self) -> None:
        while not self._stopping.wait(_LOOK_AGAIN_SECONDS):
            for child in self._children:
                self._tend(child)

    def _tend(self, child: _Child) -> None:
        if child.process is not None and (code := child.process.poll()) is not None:
            self._bury(child, code)
        if child.process is None and time.monotonic() >= child.not_before:
            try:
                self._spawn(child)
            except OSError as error:
                LOGGER.error("a receiving process cannot be started: %s", error.strerror)
                self._delay(child)

    def _spawn(self, child: _Child) -> None:
        ports = self._ports
        post = Post(child.number, self._board.place, _descriptors(ports.plain), _descriptors(ports.tls))
        tenancy = self._tenancy.share()
        try:
            inherited = (*post.plain, *post.tls, post.board.memory, post.board.bell, tenancy)
            child.started = time.monotonic()
            child.process = subprocess.Popen(
                COMMAND, stdin=subprocess.PIPE, pass_fds=inherited, env={**os.environ, **_LEAN}
            )
        finally:
            os.close(tenancy)
        assert child.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died at once, and is buried like any other
            child.process.stdin.write(to_line(self._launch, post))
            child.process.stdin.flush()

    def _bury(self, child: _Child, code: int) -> None:
        """Take back what a process held that is no more, and tell of it unless it ended in order."""
        row, boot = child.row, child.boot
        assert child.process is not None
        assert child.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            child.process.stdin.close()
        in_order = code == 0 and row.get("state") == State.ENDED
        child.process = None
        lost = open_associations(row)
        row.add("lost", lost)
        row.set("state", State.ABSENT)
        row.set("boot", 0)
        self._board.clear_slots(child.number)
        if in_order:
            self._ended_in_order.add(boot)
            return
        self._delay(child)
        reason = _reason(code)
        LOGGER.error("receiving process %d %s; it had %d associations open", child.number, reason, lost)
        self._on_death(Death(child.number, boot, reason, lost))

    def _delay(self, child: _Child) -> None:
        lived = time.monotonic() - child.started
        child.deaths = 0 if lived > STEADY_SECONDS else child.deaths + 1
        pause = min(RESTART_CAP, RESTART_FIRST * 2 ** (child.deaths - 1)) if child.deaths else 0.0
        child.not_before = time.monotonic() + pause


def _await(child: _Child, deadline: float) -> None:
    while not child.serves:
        if not child.runs:
            raise NotServing("a receiving process ended before it took associations; it said why above")
        if time.monotonic() > deadline:
            raise NotServing(f"a receiving process does not take associations after {_START_SECONDS:g} s")
        time.sleep(0.01)


def _descriptors(sockets: Sequence[socket]) -> tuple[int, ...]:
    return tuple(each.fileno() for each in sockets)


def _reason(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
