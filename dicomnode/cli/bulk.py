"""How a command is told which rows are meant, and how it tells what could not be done."""

from collections.abc import Sequence
from typing import Any

import typer

from dicomnode.cli.common import fail
from dicomnode.desk.bulk import Result


def require_one_way(which: str, ids: Sequence[int], fitting: Sequence[object], everything: bool) -> None:
    """By numbers, by what fits, or all of them: fail, saying how, where it was said in no way or in more than one."""
    if sum((bool(ids), any(fitting), everything)) != 1:
        fail(which)


def fail_if_one_is_refused(result: Result, ids: Sequence[int]) -> None:
    """Who asked for one row hears in one sentence why it was refused."""
    if len(ids) == 1 and result.refused:
        fail(*result.refused.values())


def refused_rows(result: Result) -> list[dict[str, Any]]:
    """What was refused and why, for --json."""
    return [{"id": id, "reason": reason} for id, reason in result.refused.items()]


def end(result: Result, noun: str, as_json: bool) -> None:
    """Say what was refused; exit 1 if nothing could be done though something was asked for."""
    for id, reason in () if as_json else result.refused.items():
        print(f"  not {noun} {id}: {reason}")
    if result.refused and not result.done:
        raise typer.Exit(1)
