"""Who sends in `bench deliver`: the node from its store, DCMTK's tools from files."""

import os
import re
import resource
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from dicomnode.cli.bench.network import node_sender
from dicomnode.cli.bench.network.dcmtk import tool
from dicomnode.cli.bench.network.node import PACKAGES
from dicomnode.cli.bench.network.rows import Row
from dicomnode.cli.bench.network.sending import CALLING, Sent, Target, carry_out, sent
from dicomnode.cli.bench.network.stock import Stock
from dicomnode.cli.common import fail
from dicomnode.cli.process import LOOPBACK

_SECONDS = 600.0
_SUCCESSES = re.compile(r"with status SUCCESS\s*:\s*(\d+)")


class Sending(ABC):
    """One sender. Every instance it says it sent was answered with 0000."""

    key: str
    title: str

    @abstractmethod
    def send(self, row: Row, stock: Stock, target: Target) -> Sent:
        """Send the row's instances. Raises CommandFailed."""


class NodeSending(Sending):
    """The node's `deliver`, in a process that runs already, from its containers."""

    key, title = "node", "dicomnode"

    def send(self, row: Row, stock: Stock, target: Target) -> Sent:
        order = {
            "host": LOOPBACK,
            "port": target.port,
            "called": target.called,
            "calling": CALLING,
            "associations": row.associations,
            "store": str(stock.store),
            "instances": list(stock.stored[: row.instances]),
        }
        told = carry_out([sys.executable, node_sender.__file__], order, **PACKAGES)
        return sent(told, row.instances)


class DcmtkSending(Sending):
    """dcmsend or storescu without Nagle's algorithm; several associations are several of them.

    The clock includes the program's start, some 10 ms: they tell no times.
    """

    def __init__(self, key: str) -> None:
        self.key = self.title = key

    def send(self, row: Row, stock: Stock, target: Target) -> Sent:
        files = stock.files[: row.instances]
        shares = [files[first :: row.associations] for first in range(row.associations)]
        reports = [stock.store.parent / f"report-{number}" for number in range(row.associations)]
        environment = {**os.environ, "TCP_NODELAY": "1"}
        commands = [self._command(*each, target) for each in zip(shares, reports, strict=True)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        started = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for command in commands
        ]
        words = [_ended(process) for process in started]
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        for process, said, report, share in zip(started, words, reports, shares, strict=True):
            if process.returncode != 0 or not self._all_taken(report, len(share)):
                fail(f"{self.title} ended with status {process.returncode}: {said.strip()[-300:]}")
        return Sent(seconds, cpu_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def _command(self, files: Sequence[Path], report: Path, target: Target) -> list[str | Path]:
        more: list[str | Path] = ["+crf", report] if self.key == "dcmsend" else []
        return [tool(self.key), *more, "-aet", CALLING, "-aec", target.called, LOOPBACK, str(target.port), *files]

    def _all_taken(self, report: Path, count: int) -> bool:
        """What dcmsend reports; storescu ends with another status than 0 where one was refused."""
        if self.key != "dcmsend":
            return True
        found = _SUCCESSES.search(report.read_text(errors="replace"))
        return found is not None and int(found[1]) == count


def _ended(process: "subprocess.Popen[str]") -> str:
    try:
        return process.communicate(timeout=_SECONDS)[1]
    except BaseException as error:
        process.kill()
        process.wait()
        if isinstance(error, subprocess.TimeoutExpired):
            fail(f"a sender was not done after {_SECONDS:g} s")
        raise
