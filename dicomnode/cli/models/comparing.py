"""`models compare`: two models on the same slices."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from dicomnode.cli.common import ConfigOption, JsonOption, fail, print_json, print_table, settings_of
from dicomnode.cli.models.candidates import read_candidates
from dicomnode.cli.models.copies import NoCopies, private, write_copies
from dicomnode.cli.models.judging import judge
from dicomnode.cli.models.survey import survey
from dicomnode.cli.models.telling import Telling
from dicomnode.cli.models.trainer import run_module
from dicomnode.cli.models.unspoken import unspoken
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import EnhanceError
from dicomnode.enhance.registry import Entry, Registry

_LONGEST = 60


def compare(
    a: Annotated[str, typer.Argument(help="A pipeline's name, or a file of weights (.safetensors).")],
    b: Annotated[str, typer.Argument(help="The other.")],
    data: Annotated[Path | None, typer.Option(help="DICOM of this site; the open slices if left out.")] = None,
    slices: Annotated[int, typer.Option(min=1, help="How many slices of --data.")] = 12,
    pipeline: Annotated[str, typer.Option(help="Whose network the weights in a file are of.")] = "ct-denoise",
    open_data: Annotated[Path, typer.Option(help="Folder of the open volumes (`make data`).")] = Path("data"),
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold two models against each other: fidelity, noise, small contrasts, the guards' verdicts, their cards.

    With --data on slices of this site, as scanned and at a simulated low dose; the copies made for it are deleted. At
    the default parameters of each. Without a reference (as scanned) the figures say how much a model changes.
    """
    if data is not None and not data.is_dir():
        fail(f"there is no folder {data}")
    settings = settings_of(config)
    registry = Registry.load([settings.pipelines.path])
    asked = {"a": a, "b": b, "pipeline": pipeline, "folder": settings.pipelines.path, "slices": slices}
    if data is None:
        document = run_module("gan.compare", asked | {"data": open_data}, quiet=as_json)
    else:
        with private(), TemporaryDirectory(prefix="dicomnode-compare-") as folder:
            copies = Path(folder) / "copies"
            _copy(data, _reader(registry, a, pipeline), copies, slices, Telling(quiet=as_json))
            document = run_module("gan.compare", asked | {"copies": copies}, quiet=as_json)
    if as_json:
        print_json(document)
    else:
        _tell(document, a, b)


def _reader(registry: Registry, a: str, pipeline: str) -> Entry:
    """The pipeline that says which series are taken."""
    try:
        return registry.usable(a if registry.get(a) else pipeline)
    except EnhanceError as error:
        fail(str(error))


def _copy(data: Path, entry: Entry, folder: Path, slices: int, telling: Telling) -> None:
    """De-identified copies of as many volumes as there are slices wanted, from all over the folder."""
    with unspoken(), Decoder() as decoder:
        found = read_candidates(data, entry, decoder)
        if not found.candidates:
            fail(f"there are no DICOM files in {data}")
        judged = judge(found, entry)
        if not judged.volumes:
            telling.survey(survey(found, judged))
            fail(f"nothing in {data} can be used")
        step = -(-len(judged.volumes) // slices)
        try:
            write_copies(judged.volumes[::step], found.files, folder, slices)
        except NoCopies as error:
            fail(str(error))


def _tell(document: Mapping[str, Any], a: str, b: str) -> None:
    for kind, count in document["slices"].items():
        print(f"{count} slices, {kind}")
    print_table(document["rows"], False, "", list(dict.fromkeys(name for row in document["rows"] for name in row)))
    print("\nthe two against each other")
    print_table(document["between"], False, "")
    print(f"\nwhat their cards say differently (a: {a}, b: {b})")
    print_table([{key: _cut(text) for key, text in row.items()} for row in document["cards"]], False, "nothing")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
