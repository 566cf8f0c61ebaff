"""`models list|verify|drift`: what there is."""

from typing import Any

import typer

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_json, print_table, settings_of
from dicomnode.db.repositories import drift as drift_rows
from dicomnode.desk.weights import state_of
from dicomnode.enhance.registry import Entry
from dicomnode.flow.enhancing.drift import summary

app = typer.Typer(help="Trained weights and their model cards.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The models of all pipelines, from their cards."""
    rows = [
        {
            "pipeline": entry.name,
            "file": entry.card.weights.file,
            "sha256": entry.card.weights.sha256,
            "licence": entry.card.model.licence,
            "intended_use": entry.card.model.intended_use,
            "limits": entry.card.limits,
        }
        for entry in build_flow(settings_of(config)).registry
        if entry.card
    ]
    print_table(rows, as_json, "no pipeline has weights", ("pipeline", "file", "sha256", "licence"))


@app.command("verify")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Hold every weights file against the sha256 of its card. Exit 1 if one does not hold."""
    entries = [entry for entry in build_flow(settings_of(config)).registry if entry.pipeline and entry.pipeline.weights]
    rows = [_verified(entry) for entry in entries]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, False, "no pipeline has weights")
    if not all(row["ok"] for row in rows):
        raise typer.Exit(1)


def _verified(entry: Entry) -> dict[str, Any]:
    state = state_of(entry)
    reason = state.reason if state else ""
    file = entry.weights.name if entry.weights else None
    return {"pipeline": entry.name, "file": file, "ok": not reason, "reason": reason}


@app.command()
def drift(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Noise and grain of what each scanner sends: the usual, the limits, and where it is now."""
    with flow_of(config).database.read() as session:
        rows = [summary(row) for row in drift_rows.listing(session)]
    if not as_json:
        rows = [{name: _short(value) for name, value in row.items()} for row in rows]
    print_table(rows, as_json, "nothing was measured yet")


def _short(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
