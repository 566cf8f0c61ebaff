"""`rules list|explain|evidence`."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, flow_of, print_json, print_table, who
from dicomnode.desk.rules.evidence import Evidence, Range, evidence_of
from dicomnode.desk.rules.explain import explain_series
from dicomnode.desk.rules.in_force import rules_in_force
from dicomnode.desk.rules.telling import shown_explanation

app = typer.Typer(help="Which series are enhanced and forwarded, and why.", no_args_is_help=True)


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The rules in force, and the problem of each whose pipeline cannot be used: such series get no enhancement."""
    now = rules_in_force(flow_of(config))
    rows = [
        {
            "name": each.rule.name,
            "state": each.rule.state,
            "pipeline": each.rule.enhance.pipeline if each.rule.enhance else None,
            "deliver_to": list(each.rule.deliver_to),
            "forward_original_to": list(each.rule.forward_original_to),
            "priority": each.rule.priority,
            "revision": now.number,
            "problem": each.problem,
        }
        for each in now.rules
    ]
    print_table(rows, as_json, "there are no rules: `dicomnode site import FILE.yaml` brings some")


@app.command("explain")
def explain(
    series: Annotated[str, typer.Option("--series", help="Series Instance UID.")],
    config: ConfigOption = None,
    draft: Annotated[bool, typer.Option("--draft", help="By the draft, not by the rules in force.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What each rule says of a series: per condition the value seen and the result, and what follows from it."""
    flow = flow_of(config)
    explained = shown_explanation(flow, who(), explain_series(flow, series, draft=draft))
    if as_json:
        print_json(explained.to_json())
        return
    by = "the draft" if explained.revision is None else f"site revision {explained.revision}"
    print(f"series {series}, generation {explained.generation}, {by}")
    print("\n".join(explained.lines()) or "there are no rules")
    for said in explained.rules:
        if said.answer.matched and not said.acts and said.decided:
            print(f"\n{said.answer.rule.name}: {said.decided}")


@app.command("evidence")
def evidence(
    name: Annotated[str, typer.Argument(help="A rule in force.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a rule did since it is what it is now: for a shadow, what to look at before it goes live."""
    found = evidence_of(flow_of(config), name)
    if as_json:
        print_json(found.to_json())
        return
    print("\n".join(_lines(found)))


def _lines(found: Evidence) -> list[str]:
    since = f", since {found.since.astimezone():%Y-%m-%d %H:%M:%S}" if found.since else ""
    lines = [f"{found.rule.name} ({found.rule.state}) as it is since revision {found.since_revision}{since}"]
    lines.append(f"matched {found.matched} series, did not match {found.not_matched}")
    for title, counts in (("jobs", found.states), ("verdicts", found.verdicts)):
        if counts:
            lines.append(f"{title}: " + ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    lines += [f"{count} x {outcome}" for outcome, count in sorted(found.refusals.items(), key=lambda each: -each[1])]
    lines += [f"{guard}: {_range(figure)}" for guard, figure in found.figures.items()]
    return [*lines, f"run time: {_range(found.seconds)}"] if found.seconds else lines


def _range(figure: Range) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    limit = f", limit {figure.limit:.4g}" if figure.limit is not None else ""
    return f"{figure.lowest:.4g} to {figure.highest:.4g}{unit}, median {figure.median:.4g}, of {figure.count}{limit}"
