"""The minute of an instant as a text, to group by: `2026-05-01 09:30`, in UTC."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Minute(FunctionElement[Any]):
    """The minute in which a column's instant lies. Databases have no common word for it."""

    type = String()
    name = "minute"
    inherit_cache = True

    def __init__(self, instant: ColumnElement[Any] | InstrumentedAttribute[Any]) -> None:
        super().__init__(instant)


@compiles(Minute, "postgresql")
def _postgresql(minute: Minute, compiler: SQLCompiler, **options: Any) -> str:
    return f"to_char({compiler.process(minute.clauses, **options)}, 'YYYY-MM-DD HH24:MI')"


@compiles(Minute, "sqlite")
def _sqlite(minute: Minute, compiler: SQLCompiler, **options: Any) -> str:
    return f"substr({compiler.process(minute.clauses, **options)}, 1, 16)"


def instant_of(minute: str) -> datetime:
    """When that minute began."""
    return datetime.strptime(minute, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
