"""`config check`: would the node start with this file?"""

import typer

from dicomnode.app import build_flow
from dicomnode.cli.common import ConfigOption, JsonOption, print_json, settings_of
from dicomnode.desk.certificates import own_certificates
from dicomnode.enhance.codecs import missing_codecs
from dicomnode.settings import DicomSettings

app = typer.Typer(help="Boot settings.", no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Boot settings."""


@app.command("check")
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Validate the settings file; report certificates, broken pipelines and missing codecs."""
    settings = settings_of(config)
    certificates = list(own_certificates(settings))
    registry = build_flow(settings).registry
    broken = {entry.name: entry.error for entry in registry if not entry.usable}
    report = {
        "ok": True,
        "ae_title": settings.dicom.ae_title,
        "listens_on": _addresses(settings.dicom),
        "certificates": {each.setting: f"until {each.until:%Y-%m-%d}" for each in certificates},
        "certificate_warnings": [each.warning for each in certificates if each.warning],
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


def _addresses(dicom: DicomSettings) -> str:
    plain = [] if dicom.tls and dicom.tls.only else [f"{dicom.host}:{dicom.port}"]
    return ", ".join([*plain, *([f"{dicom.host}:{dicom.tls.port} (TLS)"] if dicom.tls else [])])
