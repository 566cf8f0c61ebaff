"""`site import|export`: destinations and rules, as one document."""

from pathlib import Path
from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, flow_of, print_json, who
from dicomnode.desk.refused import Refused
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.revisions import export_site
from dicomnode.route.site_document import dump_site

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
        done = import_site(flow, who(), text_of(file), comment)
    except Refused as refused:
        if as_json and refused.problems:
            print_json({"ok": False, "problems": list(refused.problems)})
        fail(str(refused))
    if as_json:
        counts = {"destinations": len(done.site.destinations), "rules": len(done.site.rules)}
        print_json({"revision": done.number, **counts, "notes": list(done.notes)})
    else:
        print("\n".join([done.sentence, *(f"! {note}" for note in done.notes)]))


@app.command("export")
def export(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Print the site data in force as YAML that `site import` takes back."""
    revision, site = export_site(flow_of(config), who())
    if as_json:
        print_json({"revision": revision, **site.to_document()})
    else:
        print(dump_site(site), end="")


def text_of(file: Path) -> str:
    """The text of a document. Fails with a sentence for one that cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"cannot read {file}: {error}")
