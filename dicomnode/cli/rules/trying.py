"""`rules replay`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, who
from dicomnode.cli.rules.sources import site_named
from dicomnode.db.models import Replay, ReplayChange
from dicomnode.desk.rules.replay import DAYS, replay_changes, start_replay
from dicomnode.desk.rules.replaying.running import run_replay
from dicomnode.desk.rules.telling import told_changes
from dicomnode.flow import Flow

SHOWN = 20
"""Changes that are told on the terminal; --json has those that the replay keeps, in parts of the API."""

_KINDS = {"gains": "gain", "loses": "lose", "other": "otherwise", "shadow": "as a shadow only"}
_FORWARDED = {
    "more": "more originals",
    "fewer": "fewer originals",
    "elsewhere": "originals elsewhere",
    "unclear": "perhaps other originals",
}


def replay(
    file: Annotated[str, typer.Argument(help="YAML document; or `draft`, or a revision's number.")] = "draft",
    config: ConfigOption = None,
    days: Annotated[float, typer.Option(min=0, help="Of how many days the series are.")] = DAYS,
    changes: Annotated[int, typer.Option(min=0, help="How many changes are listed.")] = SHOWN,
    as_json: JsonOption = False,
) -> None:
    """What a document would have done to the series of the last days, compared with the rules in force.

    Works on what the database remembers of them: the files may be gone. Nothing is sent, and no job is made.
    """
    flow = flow_of(config)
    replay_id = start_replay(flow, who(), site_named(flow, file), days=days, inline=True)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("series", total=None)
        row = run_replay(flow, replay_id, lambda done, total: bar.update(task, completed=done, total=total))
    if row.state != "done":
        fail(f"replay {replay_id} {row.state}: {row.reason}")
    found = told_changes(flow, who(), row, _changes(flow, replay_id, changes), {})
    if as_json:
        about = {"replay": row.id, "base": row.base, "since": row.since, "until": row.until, "digest": row.digest}
        print_json({**about, **row.result, "changes": found})
    else:
        _tell(row, found)


def _changes(flow: Flow, replay_id: int, limit: int) -> Sequence[ReplayChange]:
    return replay_changes(flow, replay_id, limit=limit) if limit else ()


def _tell(row: Replay, changes: list[dict[str, Any]]) -> None:
    result = row.result
    print(f"{result['summary']} (replay {row.id}, against revision {row.base}, {result['seconds']:.1f} s)")
    for warning in result["warnings"]:
        print(f"  ! {warning['message']}")
    for rule in result["rules"]:
        state = rule["state"] or "removed"
        before = f"{rule['state_before']} -> " if rule["state_before"] not in ("", rule["state"]) else ""
        became = ", ".join(f"{rule[kind]} {words}" for kind, words in _KINDS.items() if rule[kind])
        counts = f"matches {rule['matched']}, before {rule['matched_before']}"
        print(f"  {rule['rule']} ({before}{state}): {counts}" + (f"; {became}" if became else ""))
    for rule in result["forwarding_rules"]:
        became = ", ".join(f"{rule[kind]} {words}" for kind, words in _FORWARDED.items() if rule[kind])
        counts = f"forwards originals of {rule['series']}, before of {rule['series_before']}"
        print(f"  {rule['rule']} ({rule['state'] or 'removed'}): {counts}" + (f"; {became}" if became else ""))
    for change in changes:
        print(f"{change['series_uid']}: {_FORWARDED.get(change['kind'], change['kind'])} by {change['rule']}")
        print(f"  before: {change['before']['outcome']}\n  after:  {change['after']['outcome']}")
