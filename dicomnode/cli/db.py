"""`db upgrade`: the schema."""

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, print_json, settings_of
from dicomnode.db import migrate
from dicomnode.db.database import Database

app = typer.Typer(help="The database schema.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """The database schema."""


@app.command("upgrade")
def upgrade(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Bring the database to this version's schema. `serve` does it by itself. Safe to run twice."""
    database = Database(settings_of(config).database.url)
    before, after = migrate.upgrade(database)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        print(f"the schema is at {after}" + ("" if before == after else f" (was {before or 'empty'})"))
