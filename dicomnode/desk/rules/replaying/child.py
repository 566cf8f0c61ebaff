"""A process that looks at parts of a replay: JSON lines in, JSON lines out. Its parent is `crew`.

The node goes on receiving meanwhile, so this one is nice, and leaves the interpreter's lock of the node alone.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from dicomnode.db.database import Database
from dicomnode.desk.rules.replaying.comparing import Comparison
from dicomnode.desk.rules.replaying.part import Part, look_at
from dicomnode.domain.site import Site
from dicomnode.enhance.registry import Registry
from dicomnode.observe import guarded

_NICER = 5
OTHER_PIPELINES = (
    "pipeline files have changed since the node read them: replay again; if this comes once more, restart the node"
)


def serve(requests: TextIO, answers: TextIO) -> None:
    """The first line says what is compared; each further one is a part. Ends when the parent's pipe does.

    It reads the pipelines' files itself, later than the node did: where they are others by now it answers that alone.
    """
    first = json.loads(requests.readline())
    database = Database(first["url"])
    registry = Registry.load([Path(folder) for folder in first["pipelines"]])
    before, after = (Site.model_validate(first[name]) for name in ("before", "after"))
    comparison = Comparison(before, after, registry)
    agrees = registry.agrees(first["loaded"])
    for line in requests:
        request = json.loads(line)
        answer = _answer(database, comparison, registry, request) if agrees else {"error": OTHER_PIPELINES}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    database.close()


def _answer(database: Database, comparison: Comparison, registry: Registry, request: dict[str, Any]) -> Any:
    try:
        return look_at(database, comparison, registry, Part.from_json(request["part"]), request["wanted"]).to_json()
    except Exception as error:  # the parent says it to whoever asked for the replay
        return {"error": guarded(error)}


if __name__ == "__main__":
    os.nice(_NICER)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as own:  # a pipeline that prints does not speak to the parent
        os.dup2(2, 1)
        serve(sys.stdin, own)
