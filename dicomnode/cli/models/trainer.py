"""The trainer of a pipeline, as a process of its own.

It is `gan/hospital.py` of the bundled pipelines, run by name: the node imports no pipeline that it has not discovered,
and a trainer is not one. A process of its own also keeps torch out of this one, gives its memory back, may be killed
at any time, and sees nothing of a hospital's data but the copies it is pointed to: it never opens a DICOM file.
"""

import importlib.util
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dicomnode.cli.common import fail
from dicomnode.cli.process import clean_environment, python
from dicomnode.enhance.api import Pipeline
from dicomnode.enhance.discovery import BUNDLED_PACKAGE, bundled_folder
from dicomnode.enhance.registry import Entry

_NEEDED = ("matplotlib", "scipy", "skimage")
"""Of the extra `train`: what the trainer and its measures import beside the node's own dependencies."""


def trainable(entry: Entry) -> str:
    """Name of the bundled pipeline whose trainer makes weights for `entry`: itself, or what it is a variant of.

    Raises CommandFailed if it has no bundled ancestor.
    """
    for ancestor in entry.pipeline.__mro__ if entry.pipeline else ():
        if issubclass(ancestor, Pipeline) and ancestor.__module__.startswith(f"{BUNDLED_PACKAGE}."):
            return ancestor.name
    fail(f"pipeline {entry.name} brings no trainer; only the bundled pipelines and variants of them can be trained")


def run_module(module: str, arguments: Mapping[str, Any], *, quiet: bool, lock: int | None = None) -> dict[str, Any]:
    """Run a module of the bundled pipelines; its one JSON document from stdout. Progress goes to our stderr.

    `arguments` are options by name; None leaves one out. Ctrl-C reaches the process as it does this one. Raises
    CommandFailed in the words of the process.
    """
    folder = bundled_folder()
    if folder is None or not folder.joinpath(*module.split(".")).with_suffix(".py").is_file():
        fail("the bundled pipelines are not installed, and with them the trainer")
    lacking = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if lacking:
        fail(f"training and comparing need {', '.join(lacking)}: pip install 'dicomnode[train]'")
    command: list[str | Path] = python("-P", "-m", f"{folder.name}.{module}")
    for name, value in arguments.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    with subprocess.Popen(
        [*command, "--end-with-stdin", *(["--quiet"] if quiet else [])],
        stdin=subprocess.PIPE,  # nothing is written; it closes however this process dies, and then the child ends too
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(PYTHONPATH=str(folder.parent)),
        pass_fds=() if lock is None else (lock,),
    ) as child:
        assert child.stdout is not None
        try:
            return _answer(module, child.stdout.read(), child.wait())
        finally:
            child.kill()


def _answer(module: str, text: str, status: int) -> dict[str, Any]:
    """The child's document: what it found, or its one sentence under "error"."""
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError:
        fail(f"the process of {module} ended with status {status} and no result; the same command tries again")
    if "error" in document:
        fail(str(document["error"]))
    return document
