"""The parent's side of the decoding process: start it, ask it, end it in time, start it again after it died."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

from dicomnode.enhance.decode_child import read_message, write_message
from dicomnode.enhance.errors import CannotDecode, DecoderEnded

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ")


class DecodeProcess:
    """One child process, started when first asked. Threads take turns at it."""

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running child, None while there is none."""
        return self._child.pid if self._child else None

    def ask(
        self, request: dict[str, Any], payload: bytes, *, wall_seconds: float, answer_bytes: int
    ) -> tuple[dict[str, Any], bytes]:
        """Send one request and wait for its answer: header and payload of at most `answer_bytes`.

        Raises DecoderEnded if the child dies, takes longer than `wall_seconds` or answers nonsense, CannotDecode if it
        needs more CPU time than it may; it is ended then.
        """
        with self._lock:
            return self._ask(request, payload, wall_seconds, answer_bytes)

    def close(self) -> None:
        """End the child, if there is one; the next question starts another."""
        with self._lock:
            self._end()

    def _ask(
        self, request: dict[str, Any], payload: bytes, wall_seconds: float, answer_bytes: int
    ) -> tuple[dict[str, Any], bytes]:
        child = self._running()
        late = threading.Event()

        def end_late() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(wall_seconds, end_late)
        clock.daemon = True
        clock.start()
        try:
            write_message(cast(BinaryIO, child.stdin), request, payload)
            return read_message(cast(BinaryIO, child.stdout), answer_bytes)
        except (OSError, EOFError, ValueError) as error:
            status = self._end()
            if late.is_set():
                raise DecoderEnded(f"decoding the image took longer than {wall_seconds:g} s") from error
            kind = CannotDecode if status == -signal.SIGXCPU else DecoderEnded
            raise kind(f"the decoder ended while it worked on the image ({_ending(status)})") from error
        finally:
            clock.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = _start(self.memory_bytes)
        return self._child

    def _end(self) -> int:
        child, self._child = self._child, None
        if child is None:
            return 0
        for pipe in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):  # what a dead child did not read cannot be flushed
                cast(BinaryIO, pipe).close()
        try:
            return child.wait(timeout=0.5)  # it leaves by itself when its standard input ends
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _start(memory_bytes: int) -> subprocess.Popen[bytes]:
    """Exec (never fork) the child, with few environment variables and without the working directory on its path.

    Its import of GDCM would fail where the working directory holds a folder named `dl`, and what the environment
    says of databases is not its business.
    """
    environment = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    environment |= {"PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "dicomnode.enhance.decode_child", str(memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parent,
        env=environment,
    )


def _ending(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "out of CPU time"
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
