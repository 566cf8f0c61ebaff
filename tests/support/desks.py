"""Rules at a desk in this process: documents to begin with, and somebody who edits them."""

from typing import Any

from support.flowbench import FlowBench

from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import Draft, read_draft
from dicomnode.desk.rules.editing import put_rule
from dicomnode.desk.rules.replay import start_replay
from dicomnode.desk.rules.replaying.running import run_replay
from dicomnode.domain.site import Site

ANA, BEN = Person("ana", ("admin",)), Person("ben", ("admin",))
IS_CT = {"attribute": "Modality", "equals": "CT"}
PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}


def rule(name: str = "chest", state: str = "live", when: Any = None, **more: Any) -> dict[str, Any]:
    """A rule of the passthrough pipeline for CT."""
    pipeline, params = more.pop("pipeline", "passthrough"), more.pop("params", {})
    enhance = {"pipeline": pipeline, **({"params": params} if params else {})}
    document = {"name": name, "state": state, "when": IS_CT if when is None else when, "enhance": enhance}
    return {**document, "deliver_to": ["pacs"], **more}


def site(*rules: dict[str, Any], destinations: tuple[dict[str, Any], ...] = (PACS,)) -> Site:
    """A site that nobody held against pipelines."""
    return Site.model_validate({"destinations": list(destinations), "rules": list(rules)})


def change(bench: FlowBench, document: dict[str, Any], name: str = "") -> Draft:
    """Ana puts a rule into the draft as it stands."""
    return put_rule(bench.flow, ANA, document, read_draft(bench.flow).version, name=name)


def tried(bench: FlowBench) -> Any:
    """The draft's replay, done: its row."""
    return run_replay(bench.flow, start_replay(bench.flow, ANA, inline=True))
