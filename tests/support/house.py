"""A node after a busy day, filled through its real flow: received, completed, enhanced, withheld, delivered, refused.

`lively(root)` has it running with its peers; `built(root)` leaves its folder for others, who copy it with `copy_of`
and serve its pages in their own process. Names of patients are those of `housefiles`.
"""

import contextlib
import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from support.brokenpipelines import write_broken
from support.housefiles import ADAMS, HONG, LJUBOV, MUELLER, QABBANI, YAMADA, Patient, Sent, Worklist, contradiction
from support.mainflow import IS_ANYTHING, IS_CT, add_pipeline, destination, send_as_is, series_uid
from support.modality import Modality, Rejected
from support.nodeproc import Node
from support.peers import StoreScp, free_port
from support.scriptedpacs import ScriptedPacs
from support.webapp import Headless

from dicomnode.app import build_flow
from dicomnode.db.models import Enhancement, InstanceVersion, Series
from dicomnode.desk.accounts import accounts
from dicomnode.desk.person import Person
from dicomnode.desk.rules.draft import read_draft
from dicomnode.desk.rules.editing import put_rule, remove_rule
from dicomnode.desk.rules.publish import publish
from dicomnode.desk.rules.replay import read_replay, start_replay
from dicomnode.desk.series.acting import run
from dicomnode.flow import Flow
from dicomnode.flow.enhancing.asked import Asked
from dicomnode.settings import load_settings

LOW_DOSE = {"all": [IS_CT, {"attribute": "SeriesDescription", "contains": "low dose"}]}
REPOSITORY = Path(__file__).resolve().parents[2]
IS_MR = {"attribute": "Modality", "equals": "MR"}
NARROW = '''
from dicomnode.enhance.api import Acceptance, Envelope, Pipeline


class Narrow(Pipeline):
    """Knows thin tubes alone: withholds what it has not been made for."""

    name, version, title, precision = "narrow", "2.1.0", "low-kV smoothing", "float32"
    envelope = Envelope(number={"KVP": (70, 100)})

    def accepts(self, series):
        return Acceptance.yes() if series.only("Modality") == "CT" else Acceptance.no("only CT")

    def enhance(self, slices, params):
        return slices[:, 0]
'''
SCRIPT = "<script>window.ran=1</script>"
IMAGE = '"><img src=x onerror="window.ran=1">'
"""What would run in a page that shows it as it is."""
WICKED = Patient(f"{SCRIPT}^{IMAGE}", f"W{SCRIPT}", "<b>7</b>", "M")
PASSWORD = "quiet lantern over the harbour"
PEOPLE = {
    "amelie": ("admin",),
    "otto": ("operator",),
    "ruth": ("radiologist",),
    "vera": ("viewer",),
    "Ida Ünal": ("auditor",),
}
OVER = ("done", "withheld", "failed", "expired", "cancelled", "outdated")


def site_of(pacs: int, research: int, archive: int) -> dict[str, Any]:
    """Its destinations and rules; `archive` is a port on which nobody listens."""
    when_thin = {"all": [IS_CT, {"attribute": "SeriesDescription", "contains": "thin"}]}
    return {
        "destinations": [
            destination("pacs", "PACS", pacs),
            destination("research", "RESEARCH", research),
            destination("archive", "ARCHIVE", archive),
            destination("teleradiology", "TELERAD", pacs),
        ],
        "rules": [
            _rule("low-dose chest CT", "live", LOW_DOSE, "ct-denoise", ["pacs"], deadline_minutes=60),
            _rule("CT of the ward", "live", {"all": [IS_CT, {"not": LOW_DOSE}]}, "soften", ["pacs"], priority="stat"),
            _rule("brain MR", "live", IS_MR, "soften", ["pacs", "research"]),
            _rule("thin slices", "live", when_thin, "narrow", ["pacs"]),
            _rule("try the model on CT", "shadow", IS_CT, "soften", []),
            {"name": "everything", "state": "live", "when": IS_ANYTHING, "forward_original_to": ["pacs"]},
            {"name": "to the archive", "state": "live", "when": IS_CT, "forward_original_to": ["archive"]},
            {"name": "to the home office", "state": "live", "when": IS_MR, "forward_original_to": ["teleradiology"]},
            _rule("ultrasound elsewhere", "draft", {"attribute": "Modality", "equals": "US"}, "", []),
        ],
    }  # fmt: skip


def _rule(name: str, state: str, when: Any, pipeline: str, deliver_to: list[str], **more: Any) -> dict[str, Any]:
    """A rule that enhances; without a pipeline it forwards originals to the home office."""
    does = {"enhance": {"pipeline": pipeline}} if pipeline else {"forward_original_to": ["teleradiology"]}
    return {"name": name, "state": state, "when": when, **does, **more} | (
        {"deliver_to": deliver_to} if deliver_to else {}
    )


def day(folder: Path) -> list[Sent]:
    """What is sent, in order."""
    has = Worklist(folder)
    return [
        has.series("693_UNCI.dcm", MUELLER, "CT1", "Thorax 5.0 B30f", 4),
        has.series("693_UNCI.dcm", MUELLER, "CT1", "Thorax thin 1.0 B60f", 3, KVP="120"),
        has.series("CT_small.dcm", YAMADA, "CT2", "Abdomen 3.0", 5),
        has.series("MR_small.dcm", LJUBOV, "MR1", "t1 se tra", 4),
        has.series("examples_overlay.dcm", LJUBOV, "MR1", "t2 tse sag", 2),
        has.series("US1_J2KR.dcm", QABBANI, "US1", "Abdomen", 1),
        has.series("reportsi.dcm", ADAMS, "RIS", "Structured Report", 1),
        has.series("CT_small.dcm", HONG, "CT2", "Topogramm", 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        has.series("SC_rgb.dcm", ADAMS, "WS1", "Screenshot <b>von Station 1</b>", 1),
    ]


def wicked_day(folder: Path) -> list[Sent]:
    """Series whose every text is a script."""
    has = Worklist(folder)
    texts = {"StudyDescription": IMAGE, "ProtocolName": SCRIPT, "Manufacturer": IMAGE, "BodyPartExamined": "<SCRIPT>"}
    return [has.series("CT_small.dcm", WICKED, "<i onclick=x()>", SCRIPT, 2, **texts)]


def chest_ct(folder: Path) -> Sent:
    """Slices of the held-out chest CT at a quarter of the dose, as the demo sends them."""
    command = [sys.executable, "-m", "pipelines.demo_series", "--out", str(folder), "--slices", "9"]
    subprocess.run([*command, "--data", str(REPOSITORY / "data")], cwd=REPOSITORY, check=True, capture_output=True)
    files = sorted((folder / "low-dose").iterdir())
    return Sent("CT1", tuple(files), series_uid(files[0]))


def wicked_rules() -> list[dict[str, Any]]:
    """A live rule and a draft that are called by scripts."""
    enhance = _rule(f"rule {SCRIPT}", "live", IS_CT, "soften", ["pacs"])
    when = {"attribute": "StudyDescription", "equals": IMAGE}
    return [enhance, {"name": IMAGE, "state": "draft", "when": when, "forward_original_to": ["archive"]}]


@contextmanager
def lively(root: Path, *, wicked: bool = False, chest: bool = False) -> Iterator[Node]:
    """The node, running, with the day behind it; its peers run too.

    `wicked`: scripts in names are part of the day; `chest`: a real chest CT too, which takes half a minute.
    """
    research = ScriptedPacs(ae_title="RESEARCH")
    with StoreScp(root / "pacs", "-aet", "PACS", "+xa") as pacs, research:
        research.always = 0xA900
        site = site_of(pacs.port, research.port, free_port())
        if wicked:
            site["rules"] += wicked_rules()
            site["destinations"].append(destination("wicked", "<b>PACS</b>", free_port()))
        node = Node(root / "node", site_yaml=json.dumps(site), **_settings())
        add_pipeline(node)
        (node.root / "pipelines/narrow.py").write_text(NARROW, encoding="utf-8")
        write_broken(node.root / "pipelines")
        with node:
            more = [chest_ct(root / "files/chest")] if chest else []
            fill(node, root / "files", more, wicked=wicked)
            yield node


def fill(node: Node, files: Path, more: list[Sent], *, wicked: bool) -> None:
    """Live through the day, and wait until nothing moves."""
    node.cli("destinations", "pause", "teleradiology", "--reason", "the line is being mended")
    sent = day(files / "day") + more + (wicked_day(files / "wicked") if wicked else [])
    for series in sent:
        send_as_is(node, series.files, series.calling)
    with contextlib.suppress(Rejected):
        Modality(node.dicom_port, "ELSEWHERE", "CT9")
    flow = build_flow(load_settings(node.config))
    people(flow)
    if wicked:
        accounts.add(flow, Person("root", (), "command line"), "mallory", ["viewer"], PASSWORD, display_name=SCRIPT)
    node.wait_until(lambda: _settled(flow, len(sent)), 240.0, "the day's work to be over")
    drifted(flow, node, sent)
    send_as_is(node, [contradiction(sent[0], files / "again")], "CT1")
    rules_change(flow, node)
    node.wait_until(lambda: _contradicted(flow), 120.0, "the conflict to be known")
    flow.database.close()


def drifted(flow: Flow, node: Node, sent: list[Sent]) -> None:
    """Otto has a pipeline run by hand, and its golden case fails."""
    otto = accounts.named(flow, "otto")
    person = Person(otto.name, tuple(otto.roles), "session", otto.id)
    (ultrasound,) = (series.uid for series in sent if series.calling == "US1")
    run(flow, person, ultrasound, Asked("drifted", {}, ("pacs",), "normal"))
    node.wait_until(lambda: _settled(flow, len(sent)), 120.0, "the golden case to fail")


def rules_change(flow: Flow, node: Node) -> None:
    """Amelie publishes a rule that was tried before, and has tried another change that she has not published."""
    amelie = accounts.named(flow, "amelie")
    person = Person(amelie.name, tuple(amelie.roles), "session", amelie.id)
    elsewhere = _rule("ultrasound elsewhere", "live", {"attribute": "Modality", "equals": "US"}, "", [])
    draft = put_rule(flow, person, elsewhere, read_draft(flow).version, name="ultrasound elsewhere")
    _tried(flow, person, node)
    publish(flow, person, draft.version, "The home office reads ultrasound from today on")
    thicker = {"all": [IS_CT, {"attribute": "SliceThickness", "ge": 3}]}
    slower = _rule("CT of the ward", "live", thicker, "soften", ["pacs", "research"], deadline_minutes=30)
    draft = put_rule(flow, person, slower, read_draft(flow).version, name="CT of the ward")
    remove_rule(flow, person, "thin slices", draft.version)
    _tried(flow, person, node)


def _tried(flow: Flow, person: Person, node: Node) -> None:
    replay = start_replay(flow, person)
    node.wait_until(lambda: read_replay(flow, replay).state == "done", 120.0, "the replay")


def people(flow: Flow) -> None:
    """Everybody who works here; one has left."""
    root = Person("root", (), "command line")
    for name, roles in PEOPLE.items():
        accounts.add(flow, root, name, roles, PASSWORD, display_name=name.title())
    gone = accounts.add(flow, root, "emil", ["operator"], PASSWORD)
    accounts.disable(flow, root, gone.id)


def _settled(flow: Flow, series: int) -> bool:
    with flow.database.read() as session:
        complete = session.scalar(select(func.count(Series.uid)).where(Series.state == "complete")) or 0
        return complete >= series and not session.scalar(select(Enhancement.id).where(Enhancement.state.not_in(OVER)))


def _contradicted(flow: Flow) -> bool:
    """The conflict itself: work is outdated as well where the machine paused in the middle of a series."""
    conflict = select(InstanceVersion.sop_uid).where(InstanceVersion.kind == "conflict")
    with flow.database.read() as session:
        outdated = session.scalar(select(Enhancement.id).where(Enhancement.state == "outdated"))
        return bool(outdated and session.scalar(conflict))


def _settings() -> dict[str, dict[str, Any]]:
    return {"completion": {"quiet_seconds": 1.0, "grace_seconds": 0.1}, "node": {"name": "ward-3"}}


def built(shared: Path) -> Path:
    """The house's folder under `shared`, built by whoever comes first: several test processes may ask at once."""
    shared.mkdir(parents=True, exist_ok=True)
    root = shared / "house"
    with (shared / "house.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "built").exists():
            shutil.rmtree(root, ignore_errors=True)
            with lively(root, wicked=True) as node:
                node.terminate(120.0)  # drained: what is not noted yet is part of the day
            (root / "built").touch()
    return root / "node"


def copy_of(house: Path, root: Path) -> Headless:
    """A copy of the house without its node's processes: what pages see of it."""
    folder = Path(shutil.copytree(house, root / "house"))
    flow = build_flow(load_settings(folder / "dicomnode.toml"))
    return Headless(flow)
