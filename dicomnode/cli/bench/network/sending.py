"""Starting the senders of a row, and reading what they tell."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomnode.cli.bench.network import raw_sender
from dicomnode.cli.bench.network.dcmtk import tool
from dicomnode.cli.bench.network.figures import percentile
from dicomnode.cli.bench.network.instances import Kind
from dicomnode.cli.bench.network.rows import Row, Sender
from dicomnode.cli.common import fail
from dicomnode.cli.process import LOOPBACK

CALLING = "BENCH"
_SECONDS = 600.0


@dataclass(frozen=True)
class Target:
    """Where to send; `called` is the AE title that the peer wants to hear."""

    called: str
    port: int


@dataclass(frozen=True)
class Sent:
    """What a sender told: every instance was answered with 0000. Milliseconds are 0 where nobody looked."""

    seconds: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_s: float = 0.0


class Senders:
    """The senders of all rows, with the templates and files that they send, under `folder`."""

    def __init__(self, folder: Path, kinds: Mapping[str, Kind]) -> None:
        self._folder, self._kinds = folder, kinds
        for kind in kinds.values():
            (folder / kind.modality).write_bytes(kind.data_set)

    def send(self, row: Row, target: Target) -> Sent:
        """Send the row's instances, which nobody has seen before. Raises CommandFailed."""
        stamp = time.time_ns()
        if row.sender is Sender.STORESCU:
            return self._storescu(row, target, stamp)
        return self._raw(row, target, stamp)

    def _raw(self, row: Row, target: Target, stamp: int) -> Sent:
        kind = self._kinds[row.modality]
        order = {
            "host": LOOPBACK,
            "port": target.port,
            "called": target.called,
            "calling": CALLING,
            "associations": row.associations,
            "instances": row.instances,
            "each": row.sender is Sender.EACH,
            "template": str(self._folder / row.modality),
            "sop_class": kind.sop_class,
            "transfer_syntax": kind.transfer_syntax,
            "stamp": stamp,
        }
        return sent(carry_out([sys.executable, "-I", "-S", raw_sender.__file__], order), row.instances)

    def _storescu(self, row: Row, target: Target, stamp: int) -> Sent:
        """The clock includes the program's start, since it tells no times; the files are written before."""
        folder = self._folder / f"{row.key}-{stamp}"
        files = self._kinds[row.modality].write(folder, stamp, row.instances)
        command: list[str | Path] = [
            tool("storescu"),
            "-aet",
            CALLING,
            "-aec",
            target.called,
            LOOPBACK,
            str(target.port),
            *files,
        ]
        environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
        began = time.perf_counter()
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            fail(f"storescu was not done after {_SECONDS:g} s")
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            fail(f"storescu ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
        return Sent(seconds)


def carry_out(command: Sequence[str | Path], order: Mapping[str, Any], **environment: str) -> dict[str, Any]:
    """Run a program that takes an order as JSON and answers in JSON. Raises CommandFailed with its last words."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps(order),
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        fail(f"a sender was not done after {_SECONDS:g} s")
    if done.returncode != 0:
        fail(f"a sender ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
    return dict(json.loads(done.stdout))


def sent(told: Mapping[str, Any], instances: int) -> Sent:
    """A sender's own figures. Raises CommandFailed unless every instance was answered with 0000."""
    if "error" in told:
        fail(f"sending stopped: {told['error']}")
    if told["statuses"] != {"0000": instances}:
        fail(f"not every one of {instances} instances was stored; statuses: {told['statuses']}")
    times = told.get("milliseconds", [0.0])
    return Sent(told["seconds"], percentile(times, 0.5), percentile(times, 0.99), told["cpu_seconds"])
