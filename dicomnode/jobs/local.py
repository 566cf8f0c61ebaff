"""Local placement: one worker process per device, started with the node, restarted when it dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dicomnode.observe import in_short, log

RESTART_FIRST, RESTART_CAP = 0.5, 30.0


@dataclass
class _Slot:
    """One device and the process that owns it."""

    name: str
    device: str
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    """Times it ended without a piece of work to blame, in a row: what cannot start is started ever more slowly."""
    hangs: bool = False
    waits: bool = False
    """The machine would not start it (no room for a process, no memory), which has been logged."""
    not_before: float = 0.0
    started: float = 0.0


class LocalWorkers:
    """Starts `dicomnode worker` for every device and keeps it running; one that ends with 0 wants to begin anew.

    A worker reads its standard input, whose other end this process holds: when the node dies, however it dies, the
    pipe closes and the worker ends by itself.
    """

    def __init__(
        self,
        node: str,
        devices: Sequence[str],
        command: Sequence[str],
        on_death: Callable[[str, str], int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`on_death(worker, reason)` records a death; it returns how many pieces of work died with the worker."""
        self._slots = [_Slot(f"{node}/{device}/{index}", device) for index, device in enumerate(devices)]
        self._command = list(command)
        self._on_death = on_death
        self._environment = dict(environment or {})
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="workers", daemon=True)

    @property
    def names(self) -> list[str]:
        return [slot.name for slot in self._slots]

    def alive(self) -> int:
        """How many worker processes run now."""
        return sum(slot.process is not None and slot.process.poll() is None for slot in self._slots)

    def start(self) -> None:
        self._thread.start()

    def kill(self, name: str) -> None:
        """End a worker that hangs; it is started anew."""
        for slot in self._slots:
            if slot.name == name and slot.process is not None:
                slot.hangs = True
                slot.process.kill()

    def stop(self, drain_seconds: float) -> None:
        """Ask every worker to give its job back and end; kill what has not after `drain_seconds`."""
        self._stopping.set()
        self._thread.join()
        running = [slot.process for slot in self._slots if slot.process and slot.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        until = time.monotonic() + drain_seconds
        for process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for slot in self._slots:
                self._tend(slot)
            self._stopping.wait(0.1)

    def _tend(self, slot: _Slot) -> None:
        if slot.process is None:
            if time.monotonic() >= slot.not_before:
                self._spawn(slot)
            return
        code = slot.process.poll()
        if code is None:
            return
        slot.process = None
        pause = 0.0 if code == 0 else self._bury(slot, _death(code))
        slot.not_before = time.monotonic() + pause
        slot.hangs = False

    def _bury(self, slot: _Slot, reason: str) -> float:
        """Record a death; returns the seconds until the next start. Work that kills has a limit of its own."""
        blamed = slot.hangs
        try:
            blamed = bool(self._on_death(slot.name, reason)) or blamed
        except Exception as error:  # the lease will run out in any case
            log.warning("could not record a worker's death", worker=slot.name, error=type(error).__name__)
        lived = time.monotonic() - slot.started
        slot.deaths = 0 if blamed or lived > RESTART_CAP else slot.deaths + 1
        pause: float = min(RESTART_CAP, RESTART_FIRST * 2 ** max(0, slot.deaths - 1))
        log.error("worker ended", worker=slot.name, reason=reason, restart_in=round(pause, 1))
        return pause

    def _spawn(self, slot: _Slot) -> None:
        """Start its process. One that the machine will not start is tried again soon, for as long as that takes."""
        arguments = [sys.executable, *self._command, "--device", slot.device, "--name", slot.name]
        slot.started = time.monotonic()
        try:
            slot.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, env={**os.environ, **self._environment})
        except OSError as error:
            if not slot.waits:
                log.error("worker cannot be started", worker=slot.name, error=in_short(error))
            slot.waits, slot.not_before = True, slot.started + RESTART_FIRST
            return
        if slot.waits:
            slot.waits = False
            log.info("worker was started at last", worker=slot.name)


def _death(code: int) -> str:
    if code < 0:
        return f"the worker was killed by {_signal_name(-code)}"
    return f"the worker ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals between the first and the last
        return f"signal {number}"
