"""`demo`: the options, and what is started and stopped. `run` has the steps in between."""

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from dicomnode.cli.common import JsonOption, fail, print_json
from dicomnode.cli.demo.folder import DemoFolder
from dicomnode.cli.demo.node import AE_TITLE, DemoNode
from dicomnode.cli.demo.pacs import Pacs, start_pacs
from dicomnode.cli.demo.run import prepare, run
from dicomnode.cli.demo.voice import Voice
from dicomnode.cli.process import LOOPBACK


@dataclass(frozen=True)
class Wanted:
    """The options of one demonstration."""

    pipeline: str
    slices: int
    out: Path
    data: Path
    keep: bool
    stand_in: bool


def demo(
    pipeline: Annotated[str, typer.Option(help="What enhances the series.")] = "ct-denoise",
    slices: Annotated[int, typer.Option(min=3, max=61, help="How many of the CT's 61 slices.")] = 36,
    out: Annotated[Path, typer.Option(help="Folder for all that is written.")] = Path("demo-output"),
    data: Annotated[Path, typer.Option(help="Folder of the CT; fetched where it is missing.")] = Path("data"),
    keep: Annotated[bool, typer.Option("--keep", help="Leave the node and the PACS running.")] = False,
    stand_in: Annotated[bool, typer.Option("--stand-in", help="Do without Orthanc, and install nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the main job on real input: a chest CT at a simulated low dose goes through a node into a PACS."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, _interrupt)
    voice = Voice(quiet=as_json)
    try:
        figures = _demonstrate(voice, Wanted(pipeline, slices, out, data, keep, stand_in))
    except KeyboardInterrupt:
        fail("interrupted; all that it had started is stopped")
    if as_json:
        print_json(figures)


def _demonstrate(voice: Voice, wanted: Wanted) -> dict[str, Any]:
    began = time.monotonic()
    with DemoFolder(wanted.out) as folder, ExitStack() as running:
        source = prepare(folder, wanted.slices, wanted.data, voice)
        pacs = start_pacs(folder.pacs, folder.lock, voice.say, stand_in=wanted.stand_in)
        running.callback(pacs.stop)
        voice.step("PACS", f"{pacs.words()}: {pacs.ae_title} at {LOOPBACK}:{pacs.port}")
        node = DemoNode(folder.node, folder.lock, pacs, wanted.pipeline)
        running.callback(node.stop)
        voice.step("node", f"dicomnode: {AE_TITLE} at {LOOPBACK}:{node.port}, rules in {node.site}\n")
        figures = run(source, node, pacs, folder, voice)
        figures["pacs"] = pacs.words()
        if wanted.keep:
            running.pop_all()
            folder.note_pids([node.pid, pacs.pid])
            figures["running"] = _addresses(node, pacs)
    figures["seconds"] = round(time.monotonic() - began, 1)
    voice.step("took", f"{figures['seconds']:.0f} s in all")
    if wanted.keep:
        _tell_what_runs(figures["running"], voice)
    else:
        voice.step("", "all that was started is stopped again")
    return figures


def _addresses(node: DemoNode, pacs: Pacs) -> dict[str, Any]:
    return {
        "node_dicom": f"{AE_TITLE} at {LOOPBACK}:{node.port}",
        "node_web": node.url,
        "node_config": str(node.config),
        "node_site": str(node.site),
        "pacs_dicom": f"{pacs.ae_title} at {LOOPBACK}:{pacs.port}",
        "pacs_address": pacs.address(),
        "stop": f"kill {node.pid} {pacs.pid}",
    }


def _tell_what_runs(running: dict[str, Any], voice: Voice) -> None:
    voice.say("\nstill running:")
    for name, address in running.items():
        voice.say(f"  {name.replace('_', ' '):<13}{address}")
    voice.say(f"ask it: dicomnode series list --config {running['node_config']}")


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
