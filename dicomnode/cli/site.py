"""`site import|export`: destinations and rules, as one document."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from dicomnode.audit.events import record
from dicomnode.cli.common import ConfigOption, JsonOption, actor, fail, flow_of, print_json
from dicomnode.db.database import now as database_now
from dicomnode.db.repositories import outages
from dicomnode.db.repositories import site as site_rows
from dicomnode.domain.site import Site
from dicomnode.route.site_document import SiteRefused, dump_site, read_site

app = typer.Typer(help="Site data: destinations and rules.", no_args_is_help=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="YAML document; it replaces all site data.")],
    config: ConfigOption = None,
    comment: Annotated[str, typer.Option(help="Why; kept with the revision.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Validate a document as a whole and put it in force as a new revision, within a second, node up or down."""
    flow = flow_of(config)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {file}: {error}")
    try:
        site = read_site(text, flow.registry.params_models(), flow.registry.broken(), flow.settings.tls)
    except SiteRefused as refused:
        _refuse(refused, as_json)
    with flow.database.write() as session:
        _, before = flow.site.get(session)
        gone = sorted({each.name for each in before.destinations} - {each.name for each in site.destinations})
        waiting = site_rows.open_deliveries_to(session, gone)
        if waiting:
            listed = ", ".join(f"{name} ({count})" for name, count in sorted(waiting.items()))
            fail(f"refused: deliveries to removed destinations are not finished: {listed}; let them finish or cancel")
        for name in gone:
            outages.end(session, name)
        now = database_now(session)
        number = site_rows.add(session, site.to_document(), actor(), comment, now)
        record(
            session,
            "site.imported",
            f"revision {number}: {len(site.destinations)} destinations, {len(site.rules)} rules",
            node=flow.node,
            actor=actor(),
            subject=f"revision:{number}",
            detail={"comment": comment, "rules": {rule.name: rule.state for rule in site.rules}},
        )
    if as_json:
        print_json({"revision": number, "destinations": len(site.destinations), "rules": len(site.rules)})
    else:
        print(f"revision {number} is in force: {len(site.destinations)} destinations, {len(site.rules)} rules")


@app.command("export")
def export(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the site data in force as YAML that `site import` takes back."""
    flow = flow_of(config)
    with flow.database.read() as session:
        revision, site = flow.site.get(session)
    if as_json:
        print_json({"revision": revision, **site.to_document()})
    else:
        print(dump_site(site), end="")


def _refuse(refused: SiteRefused, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "problems": [problem.to_json() for problem in refused.problems]})
    listed = "\n".join(f"  {problem}" for problem in refused.problems)
    fail(f"the document is refused, nothing was changed:\n{listed}")


def site_in_force(config: Path | None) -> Site:
    """The site data in force."""
    flow = flow_of(config)
    with flow.database.read() as session:
        return flow.site.get(session)[1]
