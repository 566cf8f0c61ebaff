"""PostgreSQL that does not answer: every wait has an end, whether the server is away, stopped, or behind a dead line.

The server ends what takes too long (`statement_timeout`). A server that hangs ends nothing, and TCP cannot tell: its
kernel goes on acknowledging. So this side counts, too, and gives the connection up a little later.
"""

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg
from psycopg import OperationalError
from sqlalchemy import Engine, event

from dicomnode.db.patience import Patience

_RV = TypeVar("_RV")
_SHORT = {"jit": "off"}
"""Statements of a node take milliseconds; compiling one that the planner takes for dear costs half a second."""
_PROBES = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""For connections over which nothing is sent: a host that is gone is noticed within half a minute."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that gives up on a server that says nothing for `answer_seconds` of one wait. It is closed then."""

    answer_seconds: float | None = None

    def wait(self, gen: Generator[Any, Any, _RV], *more: Any, **options: Any) -> _RV:
        """Consume one of the driver's generators. Raises OperationalError when the server does not answer."""
        bounded = gen if self.answer_seconds is None else self._within(gen, self.answer_seconds)
        return super().wait(bounded, *more, **options)

    def _within(self, gen: Generator[Any, Any, _RV], seconds: float) -> Generator[Any, Any, _RV]:
        deadline = time.monotonic() + seconds
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > deadline:
                    self.pgconn.finish()
                    raise OperationalError(f"the database did not answer within {seconds:g} s")
                wanted = gen.send(ready)
        except StopIteration as end:
            result: _RV = end.value
            return result


def bound(engine: Engine, patience: Patience) -> None:
    """Every connection that this engine opens from now on is patient within bounds. What the URL says goes first."""
    defaults: dict[str, Any] = {
        **_PROBES,
        "connect_timeout": max(1, round(patience.connect)),
        "tcp_user_timeout": _milliseconds(patience.answer),
    }
    limits: dict[str, Any] = {
        "statement_timeout": _milliseconds(patience.statement),
        "idle_in_transaction_session_timeout": _milliseconds(patience.silent_transaction),
    }
    options = " ".join(f"-c {name}={value}" for name, value in (limits | _SHORT).items())

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> BoundedConnection:
        wanted = {**defaults, **parameters, "options": f"{options} {parameters.get('options', '')}".strip()}
        connection = BoundedConnection.connect(*args, **wanted)
        connection.answer_seconds = patience.answer
        return connection


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
