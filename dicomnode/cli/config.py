"""`config check`: would the node start with this file?"""

import typer

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, print_json, settings_of
from dicomnode.enhance.codecs import missing_codecs

app = typer.Typer(help="Boot settings.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Boot settings."""


@app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Validate the settings file; report broken pipelines and missing codecs."""
    settings = settings_of(config)
    registry = build_flow(settings).registry
    broken = {entry.name: entry.error for entry in registry if not entry.usable}
    report = {
        "ok": True,
        "ae_title": settings.dicom.ae_title,
        "listens_on": f"{settings.dicom.host}:{settings.dicom.port}",
        "store": str(settings.store.root),
        "pipelines": [entry.name for entry in registry if entry.usable],
        "broken_pipelines": broken,
        "missing_codecs": missing_codecs(),
    }
    if as_json:
        print_json(report)
        return
    print("the settings are valid")
    for name, value in report.items():
        if name != "ok":
            print(f"  {name.replace('_', ' ')}: {value or '-'}")
