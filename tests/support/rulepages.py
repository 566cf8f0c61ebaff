"""A node with one rule for chest series, for tests of the rules' pages."""

from pathlib import Path

from fastapi.testclient import TestClient
from support.htmlform import form_at
from support.webapp import Headless, headless

from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.publish import import_site
from dicomnode.desk.rules.replay import replay_of_draft
from dicomnode.desk.rules.replaying.running import run_replay

ROOT = Person("root", (), "command line")
SCRIPT = "<script>x</script>"
PACS = {"name": "pacs", "kind": "dimse", "ae_title": "PACS", "host": "127.0.0.1", "port": 104}
CHEST = {
    "name": "chest",
    "state": "live",
    "when": {"attribute": "SeriesDescription", "contains": "chest"},
    "enhance": {"pipeline": "passthrough"},
    "deliver_to": ["pacs"],
}
MASKED = {**CHEST, "name": "one patient", "when": {"attribute": "PatientID", "equals": "P3"}}


def with_chest(folder: Path) -> Headless:
    """A node whose site data are PACS and the rule CHEST."""
    node = headless(folder)
    import_site(node.flow, ROOT, {"destinations": [PACS], "rules": [CHEST]}, "set up")
    return node


def replayed(node: Headless) -> None:
    """What the running node does by itself."""
    replay = replay_of_draft(node.flow)
    assert replay is not None
    assert replay.state == "running"
    assert run_replay(node.flow, replay.id, processes=1).state == "done"


def edited(admin: TestClient, **instead: str) -> None:
    form = form_at(admin.get("/rules/edit?name=chest").text, "/rules/edit?name=chest")
    assert admin.post(form.action, data=form.fields(action="save", **instead)).status_code == 303


def version(node: Headless) -> str:
    return str(read_draft(node.flow).version)
