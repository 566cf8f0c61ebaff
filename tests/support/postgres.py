"""A real PostgreSQL for tests: Debian's version 15 in a temporary folder, on a unix socket, with fsync on."""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest
from sqlalchemy.engine import make_url

from dicomnode.db import migrate
from dicomnode.db.database import Database

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
WITHOUT_POSTGRES = "DICOMNODE_TESTS_WITHOUT_POSTGRES"
START_SECONDS = 60.0
TEMPLATE = "migrated"


def _as_server() -> list[str]:
    """The server and initdb refuse to run as root; and a server must not outlive the test run that started it."""
    user = ["--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig", "INT"]


class PostgreSQL:
    """One server with its own data folder; `with` starts and stops it. `create` hands out fresh databases."""

    def __init__(self) -> None:
        if not (PROGRAMS / "initdb").exists():
            pytest.fail(f"this test needs {PROGRAMS}/initdb: install it, or set {WITHOUT_POSTGRES}=1 to leave it out")
        self.folder = Path(tempfile.mkdtemp(prefix="dicomnode-pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [*_as_server(), PROGRAMS / "initdb", "-D", self._data, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)

    @property
    def pid(self) -> int:
        """Process id of the server (postmaster)."""
        assert self._process is not None
        return self._process.pid

    def url(self, name: str) -> str:
        """SQLAlchemy's URL of one database of this server."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [*_as_server(), PROGRAMS / "postgres", "-D", self._data, "-k", self.folder, "-h", ""]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*command, "-N", "200"], stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._execute("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"PostgreSQL did not answer within {START_SECONDS:g} s: {self._log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT disconnects everybody (fast), SIGQUIT leaves a crash recovery to the next start."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Every process of the server is stopped meanwhile (SIGSTOP): connections stand, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)  # first of all: from here on it starts nobody, and nobody's number is free
        pids = [self.pid]
        while more := [pid for pid in self._children() if pid not in pids]:  # one that it was just starting, too
            for pid in more:
                os.kill(pid, signal.SIGSTOP)
            pids += more
        try:
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def _children(self) -> list[int]:
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return list(map(int, text.split()))

    def create(self, *, migrated: bool = True) -> str:
        """A fresh database, a copy of a migrated one unless told otherwise. Returns its URL."""
        if migrated and not self._exists(TEMPLATE):
            self._execute(f"CREATE DATABASE {TEMPLATE}")
            database = Database(self.url(TEMPLATE))
            migrate.upgrade(database)
            database.close()
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE if migrated else 'template0'}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database that `create` made, whoever is still connected to it."""
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Iterator[str]:
        """The URL of a database that is gone afterwards."""
        url = self.create(migrated=migrated)
        try:
            yield url
        finally:
            self.drop(url)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _exists(self, name: str) -> bool:
        with self._connect() as connection:
            return connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None

    def _execute(self, statement: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with self._connect() as connection:
                    connection.execute(statement.encode())  # its type wants literals; bytes are the other way
                return
            except psycopg.errors.ObjectInUse:  # a server process that ends waits for its turn; it gives it 5 s
                if time.monotonic() > deadline:
                    raise

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)
