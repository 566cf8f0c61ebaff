"""Commands of `dicomnode`, each in a process of its own, but imported once: a fork costs less than a second of imports.

Run as a module this is the server: it imports the command line, then forks for each request on its standard input.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).resolve().parents[1]


def run_command(
    args: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> "subprocess.CompletedProcess[str]":
    """`dicomnode *args` with this environment and working directory. Raises TimeoutExpired."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        files = [f"/proc/{os.getpid()}/fd/{stream.fileno()}" for stream in (stdout, stderr)]
        request = {"args": list(args), "cwd": str(cwd), "env": dict(env), "files": files, "timeout": timeout}
        status = _server().ask(request)
        if status is None:
            raise subprocess.TimeoutExpired(list(args), timeout)
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return subprocess.CompletedProcess(list(args), status, *texts)


class _Server:
    """The server's process and the pipe to it; one request at a time."""

    def __init__(self) -> None:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(_TESTS.parent), str(_TESTS)])}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.commands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._statuses = self._process.stdin, self._process.stdout
        self._asked = 0

    def ask(self, request: Mapping[str, Any]) -> int | None:
        """Exit status of the command; None if it took too long."""
        with self._lock:
            self._asked += 1
            self._requests.write(json.dumps({**request, "number": self._asked}).encode() + b"\n")
            self._requests.flush()
            while True:  # a test that ran out of time left before its command was over: that status is not ours
                number, status = json.loads(self._statuses.readline())
                if number == self._asked:
                    return None if status is None else int(status)

    def stop(self) -> None:
        """The end of its input ends the server."""
        self._requests.close()
        self._process.wait(60.0)


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.stop)
    return server


def _serve() -> None:
    import dicomnode.cli  # noqa: F401 - this is the point: the children have it

    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(request)
        print(json.dumps([request["number"], _wait(child, request["timeout"])]), flush=True)


def _become(request: Mapping[str, Any]) -> None:
    """The child: takes on the request's surroundings, runs the command and ends."""
    from dicomnode.cli import main

    status = 1
    try:
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(str(request["cwd"]))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(request["files"], start=1):
            os.dup2(os.open(file, os.O_RDWR), number)
        sys.argv = ["dicomnode", *request["args"]]
        main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(child: int, seconds: float) -> int | None:
    killer = threading.Timer(seconds, os.kill, (child, signal.SIGKILL))
    killer.start()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    killer.cancel()
    killer.join()
    return None if status == -signal.SIGKILL else status


if __name__ == "__main__":
    _serve()
