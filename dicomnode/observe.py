"""Logs, metrics and checkpoints: what an operator sees of a running node. No patient data in any of them."""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

INDEXED = Counter("dicomnode_indexed_total", "Instances indexed by outcome", ["outcome"], registry=REGISTRY)
COMPLETED = Counter("dicomnode_series_completed_total", "Series generations completed", registry=REGISTRY)
ENHANCEMENTS = Gauge("dicomnode_enhancements", "Enhancements by state", ["state"], registry=REGISTRY)
HELD = Gauge("dicomnode_held", "What operators have stopped: 1 for each", ["kind", "name"], registry=REGISTRY)
DELIVERIES = Gauge(
    "dicomnode_deliveries", "Deliveries by destination and state", ["destination", "state"], registry=REGISTRY
)
DOWN = Gauge(
    "dicomnode_destination_down",
    "Destinations that cannot be sent to: 1 for each; `configuration` needs people",
    ["destination", "kind"],
    registry=REGISTRY,
)
SENT = Counter(
    "dicomnode_sent_total",
    "C-STORE responses by destination and outcome",
    ["destination", "outcome"],
    registry=REGISTRY,
)
HEAD_START_SLICES = Gauge(
    "dicomnode_head_start_slices",
    "Slices of all jobs: taken from what was made ahead, computed by the job, made ahead and thrown away",
    ["outcome"],
    registry=REGISTRY,
)
HEAD_START_SECONDS = Gauge("dicomnode_head_start_seconds_saved", "Seconds that jobs were shorter", registry=REGISTRY)
STORE_FREE = Gauge("dicomnode_store_free_bytes", "Free bytes on the store's file system", registry=REGISTRY)
TICK_SECONDS = Histogram(
    "dicomnode_tick_seconds", "Duration of one turn of a background loop", ["loop"], registry=REGISTRY
)

FAULT_VARIABLE = "DICOMNODE_FAULT"

_OF_CONTENT = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, AssertionError)
"""What content gives rise to; pydicom's and pydantic's errors are of these kinds."""

log = structlog.get_logger("dicomnode")


def configure_logging(format: str, level: str) -> None:
    """Structured logs on stderr; stdout belongs to commands' results."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,  # a command that a program calls may run under another stderr next time
    )
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)  # it quotes what peers send


_reached: dict[str, int] = {}


def checkpoint(stage: str) -> None:
    """Name the stage of work just reached. A no-op in production.

    Fault tests set DICOMNODE_FAULT to `stage:marker-file[:n]`: the first process that reaches the stage for the n-th
    time (1 by default) leaves the marker and is killed as by `kill -9`; all others pass. This is how "it dies right
    here" is tested for every stage.
    """
    fault = os.environ.get(FAULT_VARIABLE)
    if not fault:
        return
    name, marker, *nth = fault.split(":")
    if name != stage:
        return
    _reached[stage] = _reached.get(stage, 0) + 1
    if _reached[stage] != (int(nth[0]) if nth else 1):
        return
    try:
        os.close(os.open(Path(marker), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def in_short(error: BaseException) -> str:
    """The kind of an error and the first line of what it says: the others may quote values, a patient's name among
    them (a database's DETAIL), or a whole statement."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def wordless(error: BaseException) -> str:
    """Such as "ValueError at header.py:12": what was raised, and the line that raised it.

    For errors of code that was shown a patient's header: their words may quote it.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"


def guarded(error: BaseException) -> str:
    """In short; without words where a library says them and what was read may have caused it."""
    is_own = type(error).__module__.partition(".")[0] == "dicomnode"
    return wordless(error) if isinstance(error, _OF_CONTENT) and not is_own else in_short(error)


class Loop(threading.Thread):
    """A background turn, again and again: at once when rung, else every `seconds` on the monotonic clock.

    `turn` returns whether there may be more to do right away. An exception is logged, waited out for a second and
    tried again: a database that is away for a minute needs no restart.
    """

    def __init__(self, name: str, seconds: float, turn: Callable[[], bool]) -> None:
        super().__init__(name=name, daemon=True)
        self._seconds, self._turn = seconds, turn
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self.trouble = ""
        """What the last turn failed with, in one line; empty if it did not."""

    def ring(self) -> None:
        """There is something to do."""
        self._bell.set()

    def stop(self, seconds: float = 30.0) -> None:
        """End after the turn in hand."""
        self._stopping.set()
        self._bell.set()
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with TICK_SECONDS.labels(self.name).time():
                    again = self._turn()
                self.trouble = ""
            except Exception as error:
                self.trouble = guarded(error)
                log.warning("will try again", loop=self.name, error=self.trouble)
                again = self._stopping.wait(1.0)
            if not again:
                self._bell.wait(self._seconds)
            self._bell.clear()
