"""Who looks at the parts of a replay: this process for a short one, two others beside it for a long one."""

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TextIO, cast

from dicomnode.desk.rules.replaying.comparing import Comparison
from dicomnode.desk.rules.replaying.part import Found, Part, look_at
from dicomnode.domain.site import Site
from dicomnode.flow import Flow

_MODULE = "dicomnode.desk.rules.replaying.child"

IF_ONE_DIES = "replay again; if this comes once more, replay a shorter period, and see the node's log and its memory"

Wanted = Callable[[], int]
"""How many changes are still wanted in words."""


class CrewFailed(Exception):
    """A part could not be looked at; the message says why."""


def alone(flow: Flow, before: Site, after: Site, parts: Iterable[Part], wanted: Wanted) -> Iterator[Found]:
    """One part after the other, in this process."""
    registry = flow.registry  # the node may read its pipelines again meanwhile
    comparison = Comparison(before, after, registry)
    return (look_at(flow.database, comparison, registry, part, wanted()) for part in parts)


def about(flow: Flow, before: Site, after: Site) -> dict[str, Any]:
    """What a child is told first: where the series are, by what is decided, and which pipelines the node has read."""
    return {
        "url": flow.database.url,
        "pipelines": [str(flow.settings.pipelines.path)],
        "loaded": flow.registry.fingerprint(),
        "before": before.to_document(),
        "after": after.to_document(),
    }


class Crew:
    """Child processes that share the parts out among them. Use it in a `with`, which ends them."""

    def __init__(self, flow: Flow, before: Site, after: Site, count: int) -> None:
        first = about(flow, before, after)
        self._children = [_start(first) for _ in range(count)]
        self._free: queue.SimpleQueue[subprocess.Popen[str]] = queue.SimpleQueue()
        for child in self._children:
            self._free.put(child)
        self._threads = ThreadPoolExecutor(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for child in self._children:
            child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            child.wait()
            for pipe in (child.stdin, child.stdout):
                with contextlib.suppress(OSError):  # what a dead child did not read cannot be flushed
                    cast(TextIO, pipe).close()

    def found(self, parts: Sequence[Part], wanted: Wanted) -> Iterator[Found]:
        """What became of each part, in their order. Raises CrewFailed."""
        return self._threads.map(lambda part: self._ask(part, wanted()), parts)

    def _ask(self, part: Part, wanted: int) -> Found:
        child = self._free.get()
        try:
            answer = _exchange(child, {"part": part.to_json(), "wanted": wanted})
        finally:  # a dead one as well: whoever waits for a child is to hear of it, not to wait for ever
            self._free.put(child)
        if "error" in answer:
            raise CrewFailed(answer["error"])
        return Found(**answer)


def _exchange(child: "subprocess.Popen[str]", request: dict[str, Any]) -> dict[str, Any]:
    try:
        _send(child, request)
        line = cast(TextIO, child.stdout).readline()
    except (OSError, ValueError):
        line = ""
    if not line.endswith("\n"):  # nothing, or the beginning of an answer
        raise CrewFailed(_death(child.wait()))
    answer: dict[str, Any] = json.loads(line)
    return answer


def _death(code: int) -> str:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return f"a process of the replay {how}: {IF_ONE_DIES}"


def _send(child: "subprocess.Popen[str]", document: dict[str, Any]) -> None:
    pipe = cast(TextIO, child.stdin)
    pipe.write(json.dumps(document) + "\n")
    pipe.flush()


def _start(first: dict[str, Any]) -> "subprocess.Popen[str]":
    """Exec (never fork: there are threads). The database's address goes through the pipe, not the command line."""
    packages = str(Path(__file__).resolve().parents[4])
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": packages, "OPENBLAS_NUM_THREADS": "1"},
    )
    with contextlib.suppress(OSError):  # one that ends at once is noticed at its first part
        _send(child, first)
    return child
