"""A process of a replay that read other pipelines than the node decides nothing."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from support.desks import ANA, PACS
from support.pastseries import remember
from support.webapp import Headless, headless

from dicomnode.db.repositories import replays
from dicomnode.desk.rules.replay import read_replay, start_replay
from dicomnode.desk.rules.replaying import child
from dicomnode.desk.rules.replaying.crew import about
from dicomnode.desk.rules.replaying.part import SIZE, Part
from dicomnode.domain.site import Site

OWN = """
from dicomnode.enhance.api import Acceptance, Pipeline


class Own(Pipeline):
    name, version, title, precision = "own", "1.0.0", "t", "float32"

    def accepts(self, series):
        return Acceptance.{}

    def enhance(self, slices, params):
        return slices[:, 0]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "pipelines/own.py"
    file.parent.mkdir()
    file.write_text(OWN.format('no("thin")'), encoding="utf-8")
    return file


@pytest.fixture
def node(tmp_path: Path, own: Path) -> Headless:
    """It has read its pipelines, and three CT series came."""
    node = headless(tmp_path / "node", pipelines={"path": own.parent})
    for number in range(1, 4):
        remember(node.flow, number)
    return node


def answer(node: Headless) -> dict[str, Any]:
    """What a child says of the first part, for a rule that asks for that pipeline."""
    rule = {"name": "r", "state": "live", "when": {"all": []}, "enhance": {"pipeline": "own"}, "deliver_to": ["pacs"]}
    after = Site.model_validate({"destinations": [PACS], "rules": [rule]})
    row = read_replay(node.flow, start_replay(node.flow, ANA, after, inline=True))
    with node.flow.database.read() as session:
        (place,) = replays.periods(session, row.since, row.until, SIZE)
    part = Part(place[0], place[1], row.until, place[2])
    lines = [about(node.flow, Site(), after), {"part": part.to_json(), "wanted": 10}]
    answers = io.StringIO()
    child.serve(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), answers)
    told: dict[str, Any] = json.loads(answers.getvalue())
    return told


def test_it_decides_as_the_node_while_the_files_are_those(node: Headless) -> None:
    told = answer(node)
    assert (told["tally"]["series"], told["tally"]["changed"]) == (3, 0)


def test_it_says_so_once_they_are_others(node: Headless, own: Path) -> None:
    own.write_text(OWN.format("yes()"), encoding="utf-8")
    assert answer(node) == {"error": child.OTHER_PIPELINES}
