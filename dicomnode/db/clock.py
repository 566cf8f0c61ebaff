"""The database's clock as part of a statement: the only one that leases of several nodes may be compared on."""

from typing import Any

from sqlalchemy import ColumnElement, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dicomnode.db.types import UtcTime


class Clock(FunctionElement[Any]):
    """The time when the statement began, so many seconds later. It goes on from statement to statement.

    Not PostgreSQL's `now()`, which stands still from the transaction's beginning; nor `clock_timestamp()`, which no
    index can be searched with. SQLite's clock has milliseconds; they are written as `UtcTime` stores its own.
    """

    type = UtcTime()
    name = "clock"
    inherit_cache = True

    def __init__(self, after: ColumnElement[float] | float = 0.0) -> None:
        super().__init__(literal(after) if isinstance(after, float | int) else after)


@compiles(Clock, "postgresql")
def _postgresql(clock: Clock, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(clock.clauses, **options)
    return f"(statement_timestamp() AT TIME ZONE 'UTC' + make_interval(secs => {seconds}))"


@compiles(Clock, "sqlite")
def _sqlite(clock: Clock, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(clock.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"
