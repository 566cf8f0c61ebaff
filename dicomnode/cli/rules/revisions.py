"""`rules revisions|diff|rollback` and `rules draft show|discard`."""

from typing import Annotated

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, LimitOption, flow_of, print_json, print_table, who
from dicomnode.cli.rules.sources import site_named
from dicomnode.desk.rules.diff import diff_sites
from dicomnode.desk.rules.draft import discard_draft, read_draft
from dicomnode.desk.rules.publish import rollback as roll_back
from dicomnode.desk.rules.revisions import list_revisions

Side = Annotated[str, typer.Argument(help="A revision's number, `draft`, or a YAML file.")]

draft = typer.Typer(help="The next revision while it is written.", no_args_is_help=True)


def revisions(config: ConfigOption = None, limit: LimitOption = 50, as_json: JsonOption = False) -> None:
    """What changed when, by whom and why; the newest is in force."""
    names = ("number", "created_at", "author", "origin", "restores", "replay_id", "comment")
    rows = [{name: getattr(row, name) for name in names} for row in list_revisions(flow_of(config), limit=limit)]
    print_table(rows, as_json, "there is no revision: `dicomnode site import FILE.yaml` brings the first")


def diff(before: Side, after: Side, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """What differs between two documents: rule by rule, condition by condition."""
    flow = flow_of(config)
    found = diff_sites(site_named(flow, before), site_named(flow, after))
    if as_json:
        print_json(found.to_json())
    else:
        print("\n".join(found.lines()) or "nothing differs")


def rollback(
    number: Annotated[int, typer.Argument(min=1, help="The revision whose document is to be in force again.")],
    config: ConfigOption = None,
    comment: Annotated[str, typer.Option(help="Why; kept with the new revision.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Put an earlier revision in force again, as a new one, within a second, node up or down."""
    done = roll_back(flow_of(config), who(), number, comment)
    if as_json:
        notes = list(done.notes)
        print_json({"revision": done.number, "restores": number, "diff": done.diff.to_json(), "notes": notes})
    else:
        print("\n".join([done.sentence, *done.diff.lines(), *(f"! {note}" for note in done.notes)]))


@draft.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The draft, as YAML that `site import` takes; --json tells what it changes as well."""
    found = read_draft(flow_of(config))
    if as_json:
        about = {name: getattr(found, name) for name in ("version", "base", "in_force", "touched", "stale", "author")}
        print_json(
            {**about, "changed_at": found.changed_at, "document": found.document(), "diff": found.diff.to_json()}
        )
    else:
        print(found.yaml(), end="")


@draft.command("discard")
def discard(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Throw away what the draft changes."""
    flow = flow_of(config)
    before = read_draft(flow)
    after = discard_draft(flow, who(), before.version)
    if as_json:
        print_json({"discarded": before.touched, "version": after.version})
    else:
        print("the draft is thrown away" if before.touched else "the draft changed nothing")
