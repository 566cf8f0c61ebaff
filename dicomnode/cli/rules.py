"""`rules list|explain`."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, print_table
from dicomnode.db.repositories import series as series_rows
from dicomnode.domain.facts import SeriesFacts
from dicomnode.domain.site import Rule
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.weights import verify
from dicomnode.flow import Flow
from dicomnode.flow.context import facts_so_far
from dicomnode.route.rules import explain_rules, render

app = typer.Typer(help="Which series are enhanced and forwarded, and why.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The rules in force, and the problem of each whose pipeline cannot be used: such series get no enhancement."""
    flow = flow_of(config)
    with flow.database.read() as session:
        revision, site = flow.site.get(session)
    rows = [
        {
            "name": rule.name,
            "state": rule.state,
            "pipeline": rule.enhance.pipeline if rule.enhance else None,
            "deliver_to": list(rule.deliver_to),
            "forward_original_to": list(rule.forward_original_to),
            "priority": rule.priority,
            "revision": revision,
            "problem": _problem(flow, rule),
        }
        for rule in site.rules
    ]
    print_table(rows, as_json, "there are no rules: `dicomnode site import FILE.yaml` brings some")


def _problem(flow: Flow, rule: Rule) -> str:
    """Why the pipeline of a rule would be refused: not installed, broken, or weights that are not those of the card."""
    if rule.enhance is None:
        return ""
    try:
        verify(flow.registry.usable(rule.enhance.pipeline))
    except EnhanceError as error:
        return str(error)
    return ""


@app.command("explain")
def explain(
    series: Annotated[str, typer.Option("--series", help="Series Instance UID.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What each rule in force says of a series: per condition the value seen and the result."""
    flow = flow_of(config)
    generation, facts = _facts(flow, series)
    with flow.database.read() as session:
        revision, site = flow.site.get(session)
    answers = explain_rules(site, facts)
    if as_json:
        rules = [answer.to_json() for answer in answers]
        print_json({"series": series, "generation": generation, "revision": revision, "rules": rules})
        return
    print(f"series {series}, generation {generation}, site revision {revision}")
    print("\n".join(render(answers)) or "there are no rules")


def _facts(flow: Flow, series_uid: str) -> tuple[int, SeriesFacts]:
    """Facts of the newest generation; of what has arrived so far where there is none yet (generation 0)."""
    with flow.database.read() as session:
        row = series_rows.find(session, series_uid)
        if row is None:
            fail(f"no instance of series {series_uid} has arrived")
        known = series_rows.facts(session, series_uid)
    if known is not None:
        return known.generation, SeriesFacts.from_json(known.facts)
    return 0, facts_so_far(flow, row)
