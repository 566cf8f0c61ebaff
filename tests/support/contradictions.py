"""Ways in which an instance comes again under its UID."""

from pathlib import Path

from pydicom import dcmread
from support.flowbench import FlowBench


def correct(bench: FlowBench, file: Path) -> None:
    """With other demographics: a correction."""
    again = dcmread(file)
    again.PatientName = "Right^Patient"
    bench.receive(again)


def contradict(bench: FlowBench, file: Path) -> None:
    """With other pixels: a conflict."""
    again = dcmread(file)
    again.PixelData = bytes(len(again.PixelData))
    bench.receive(again)


def vary(bench: FlowBench, file: Path) -> None:
    """With another character set that says the same: a variant."""
    again = dcmread(file)
    again.SpecificCharacterSet = "ISO_IR 192"
    bench.receive(again)
