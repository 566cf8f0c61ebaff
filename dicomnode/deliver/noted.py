"""The files of answers that are noted and perhaps not in SQL yet: one for each node and destination, on the store.

    answers/<node>/<16 hex digits of the destination's name>.jsonl

Only its node writes to a file; another one reads it before it takes over what that node was sending.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from dicomnode.db.repositories.deliveries import Answer
from dicomnode.observe import log


def path_of(root: Path, node: str, destination: str) -> Path:
    """Where a node notes a destination's answers, in the store under `root`."""
    return root / "answers" / node / f"{hashlib.sha256(destination.encode()).hexdigest()[:16]}.jsonl"


def append(descriptor: int, answer: Answer) -> bool:
    """Whether the answer is in the file; a full disk leaves SQL."""
    line = json.dumps(answer).encode() + b"\n"
    try:
        return os.write(descriptor, line) == len(line)
    except OSError as error:
        log.warning("an answer cannot be noted in its file", error=error.strerror or str(error))
        return False


def read(path: Path) -> Sequence[Answer]:
    """The answers in a file, none where there is no file; what a full disk cut short is left out."""
    found = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(Answer(*json.loads(line)))
        except (ValueError, TypeError):
            log.warning("a line of noted answers is cut short", file=path.name)
    return found


def read_all(root: Path, node: str) -> Sequence[Answer]:
    """What a node noted of all destinations."""
    return [answer for path in sorted((root / "answers" / node).glob("*.jsonl")) for answer in read(path)]
