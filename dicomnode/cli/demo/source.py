"""The series to send: written by `demo_series` of the bundled pipelines, which knows the volume and the simulator.

It runs in a process of its own, because the node never imports pipelines that it has not discovered.
"""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dicomnode.cli.common import fail
from dicomnode.cli.process import clean_environment, python
from dicomnode.enhance.discovery import bundled_folder


@dataclass(frozen=True)
class Source:
    """The files to send in order, the same slices at full dose, and what was said about them."""

    sent: tuple[Path, ...]
    full_dose: tuple[Path, ...]
    about: dict[str, Any]

    @property
    def series_uid(self) -> str:
        return str(self.about["series_uid"])

    @property
    def shown(self) -> str:
        """SOP Instance UID of the slice with most to see."""
        return str(self.about["shown"])

    @property
    def shown_full_dose(self) -> Path:
        return self.full_dose[int(self.about["shown_number"]) - 1]

    def words(self) -> str:
        """What this is, in one line."""
        return (
            f"{self.about['slices']} of the {self.about['slices_of_the_volume']} slices of a real chest CT "
            f"({self.about['source']}, {self.about['volume']}, {self.about['licence']}) at a simulated quarter dose"
        )


def make_source(folder: Path, slices: int, data: Path, progress: Callable[[int], None]) -> Source:
    """Fetch the volume if need be, simulate and write. `progress` gets the number of finished slices.

    Raises CommandFailed in the words of the process that failed.
    """
    bundled = bundled_folder()
    if bundled is None or not (bundled / "demo_series.py").is_file():
        fail("the bundled pipelines are not installed, and with them the simulator of the demo")
    log = folder / "demo_series.log"
    folder.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as errors:
        process = subprocess.Popen(
            python("-P", "-m", f"{bundled.name}.demo_series", "--out", folder, "--slices", str(slices), "--data", data),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=clean_environment(PYTHONPATH=str(bundled.parent)),
            start_new_session=True,
        )
    try:
        for line in process.stdout or ():
            progress(int(line.split()[1]))
        status = process.wait()
    finally:
        process.kill()
        process.wait()
    if status != 0:
        fail(_last_line(log))
    return read_source(folder)


def read_source(folder: Path) -> Source:
    """What `demo_series` has written."""
    about = json.loads((folder / "series.json").read_text(encoding="utf-8"))
    return Source(
        tuple(sorted((folder / "low-dose").iterdir())), tuple(sorted((folder / "full-dose").iterdir())), about
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.removeprefix("demo_series: ") for line in lines if line.strip()]
    return said[-1] if said else f"the series could not be written, and {log} does not say why"
