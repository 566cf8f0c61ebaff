"""What the demo asks of a PACS, and which one it gets."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pydicom import Dataset

from dicomnode.cli.demo.orthanc import OrthancPacs, find_orthanc, install_orthanc
from dicomnode.cli.demo.stand_in import StandIn


class Pacs(Protocol):
    """A Storage SCP in a process of its own that gives back what it keeps."""

    ae_title: str
    port: int

    @property
    def pid(self) -> int:
        """Of the process to stop."""

    def words(self) -> str:
        """What it is, in one line."""

    def address(self) -> str:
        """Where its pages are, or its files."""

    def download(self, series_uid: str) -> list[Dataset]:
        """The series as it is kept now, in no order."""

    def stop(self) -> None:
        """End the process."""


def start_pacs(folder: Path, lock: int, say: Callable[[str], None], *, stand_in: bool = False) -> Pacs:
    """Orthanc if it is there or can be installed, else, or if wanted, the stand-in. Raises CommandFailed."""
    if stand_in:
        return StandIn(folder, lock)
    program = find_orthanc() or install_orthanc(say)
    if program is not None:
        return OrthancPacs(program, folder, lock)
    say("Orthanc is not installed, and cannot be installed from here: a small stand-in takes the place of the PACS")
    return StandIn(folder, lock)
