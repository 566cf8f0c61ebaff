"""How `bench web` measures: the pages in a process of their own, users that ask and think, an audit log that grows."""

import hashlib
import multiprocessing
import random
import secrets
import socket
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.synchronize import Event
from typing import Any

import httpx

from dicomnode.app import build_flow
from dicomnode.audit import chain
from dicomnode.audit.events import record
from dicomnode.cli.bench.web_asks import Ask
from dicomnode.cli.common import fail
from dicomnode.cli.process import LOOPBACK, free_ports
from dicomnode.db.database import Database
from dicomnode.db.database import now as database_now
from dicomnode.db.models import Account, WebSession
from dicomnode.desk.live import Live
from dicomnode.flow import Flow
from dicomnode.settings import Settings

EVENTS_PER_SECOND, SEAL_SECONDS, START_SECONDS = 50, 1.0, 60.0
COOKIE = "dicomnode_session"


@dataclass
class _Pages:
    """What pages see of a node that does nothing but serve them."""

    flow: Flow
    listening: bool = True

    def live(self) -> Live:
        return Live(listening=True)


@dataclass
class Times:
    """Seconds of every answer, by what was asked."""

    by_ask: dict[Ask, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)
    first: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Quantiles:
    """Milliseconds."""

    median: float
    p95: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Quantiles":
        ordered = sorted(1000 * one for one in seconds)
        return cls(statistics.median(ordered), ordered[max(0, -(-95 * len(ordered) // 100) - 1)], ordered[-1])


def measure(
    settings: Settings, asks: Sequence[Ask], users: int, rounds: int, think: float, progressed: Callable[[int], None]
) -> Times:
    """Let so many users ask for everything, each in an order of its own, so often; `think` seconds in between.

    One has asked for everything once before, off the clock: what the first request of its kind costs after the pages
    were started is in `Times.first`.
    """
    secret = _sign_in(settings)
    times, lock = Times(), threading.Lock()
    with _served(settings) as port:

        def use(number: int) -> None:
            dice = random.Random(number)  # noqa: S311
            with _browser(port, secret) as web:
                for ask in [each for _ in range(rounds) for each in dice.sample(list(asks), len(asks))]:
                    time.sleep(dice.uniform(0.5, 1.5) * think)
                    seconds, status = _asked(web, ask)
                    with lock:
                        times.by_ask[ask].append(seconds)
                        if status != 200:
                            times.failed.append(f"{status} {ask.path}")
                        progressed(1)

        with _browser(port, secret) as web:
            times.first = [_asked(web, ask)[0] for ask in asks]
        threads = [threading.Thread(target=use, args=(number,), daemon=True) for number in range(users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return times


def _browser(port: int, secret: str) -> httpx.Client:
    headers = {"Cookie": f"{COOKIE}={secret}", "Sec-Fetch-Site": "same-origin"}
    return httpx.Client(base_url=f"http://{LOOPBACK}:{port}", headers=headers, timeout=60, trust_env=False)


def _asked(web: httpx.Client, ask: Ask) -> tuple[float, int]:
    """Seconds to the last byte of the answer, and its status."""
    began = time.perf_counter()
    answer = web.get(ask.path)
    return time.perf_counter() - began, answer.status_code


def _sign_in(settings: Settings) -> str:
    """The secret of an administrator's session."""
    secret, database = secrets.token_urlsafe(32), Database(settings.database.url)
    with database.write() as session:
        now = database_now(session)
        account = Account(name="bench", folded_name="bench", roles=["admin"], created_at=now)
        session.add(account)
        session.flush()
        row = WebSession(
            secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
            account_id=account.id,
            created_at=now,
            seen_at=now,
            ends_at=now + timedelta(hours=2),
            peer=LOOPBACK,
            browser="bench",
        )
        session.add(row)
    database.close()
    return secret


@contextmanager
def _served(settings: Settings) -> Any:
    """The port of the pages; a process writes the audit log and seals it meanwhile, as a busy node does."""
    context = multiprocessing.get_context("spawn")
    over, (port,) = context.Event(), free_ports(1)
    own = settings.model_copy(update={"web": settings.web.model_copy(update={"port": port})})
    document = own.model_dump(mode="json")
    processes = [context.Process(target=each, args=(document, over)) for each in (_serve, _write_audit)]
    for process in processes:
        process.start()
    try:
        _wait(port, processes[0])
        yield port
    finally:
        over.set()
        for process in processes:
            process.join(20)
            process.kill()


def _wait(port: int, process: Any) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((LOOPBACK, port), 1).close()
            return
        except OSError:
            if time.monotonic() > until or not process.is_alive():
                fail("the pages were not served")
            time.sleep(0.1)


def _serve(document: dict[str, Any], over: Event) -> None:
    from dicomnode.web.application import create_app
    from dicomnode.web.server import WebServer

    settings = Settings(**document)
    server = WebServer(create_app(_Pages(build_flow(settings))), settings.web.host, settings.web.port)
    server.start()
    over.wait()
    server.stop()


def _write_audit(document: dict[str, Any], over: Event) -> None:
    database, sealed = Database(Settings(**document).database.url), time.monotonic()
    while not over.wait(1 / EVENTS_PER_SECOND):
        with database.write() as session:
            record(session, "series.complete", "written while others read", node="bench")
        if time.monotonic() - sealed > SEAL_SECONDS:
            chain.seal(database)
            sealed = time.monotonic()
    database.close()
