"""Every kind of failure, really produced, is one plain sentence on Today, with what to do and where."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select
from support.flowbench import FlowBench
from support.peers import free_port
from support.scriptedpacs import Refusal, ScriptedPacs
from support.series import make_ct_series
from support.vouching import VouchingBench
from support.webapp import Headless, client

from dicomnode.db.models import Enhancement
from dicomnode.db.repositories import holds, nodes
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.sender import Sender
from dicomnode.desk import switch
from dicomnode.desk.live import Live, LoopState
from dicomnode.desk.person import Person
from dicomnode.domain.verdict import GuardFigure, Verdict
from dicomnode.enhance.registry import Registry
from dicomnode.flow.commitment.telling import vouch_due
from dicomnode.flow.context import facts_so_far
from dicomnode.flow.enhancing.drift import group_of, note_input
from dicomnode.jobs import switches
from dicomnode.settings import StoreSettings

pytestmark = pytest.mark.torch

RULES = """
  - name: all CT
    state: live
    when: {{all: []}}
    enhance: {{pipeline: {0}}}
    deliver_to: [pacs]
  - name: originals
    state: live
    when: {{all: []}}
    forward_original_to: [archive]
"""
OWN = '''
from dicomnode.enhance.api import Acceptance, Envelope, Pipeline


class Own(Pipeline):
    """{words}"""

    name, version, title, precision = "own", "1.0.0", "own", "float32"
    envelope = Envelope(number={envelope})

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        {act}
'''
FAILING = OWN.format(words="Fails.", envelope="{}", act='raise RuntimeError("the network was fed soup")')
WITHHOLDING = OWN.format(words="Withholds.", envelope='{"SliceThickness": (90.0, 100.0)}', act="return slices[:, 0]")
OTTO = Person("otto", ("operator",))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return list(make_ct_series(tmp_path / "ct", 2, rows=32))


def bench_of(root: Path, files: list[Path], pipelines: str = "", pipeline: str = "passthrough") -> FlowBench:
    """A bench that has had the series, its work done."""
    bench = FlowBench(root / "node", RULES.format(pipeline), pipelines)
    bench.receive_files(files)
    bench.complete()
    bench.work()
    return bench


def told(bench: FlowBench, kind: str, live: Live | None = None) -> dict[str, str]:
    """The one trouble of this kind; its words are on the page too."""
    browser = client(Headless(bench.flow, processes=live), "admin", name=f"admin of {kind}")
    (found,) = [each for each in browser.get("/api/v1/today").json()["troubles"] if each["kind"] == kind]
    html = browser.get("/").text.replace("&#39;", "'").replace("&#34;", '"').replace("&gt;", ">")
    assert found["message"] in html
    assert found["way_out"] in html
    assert f'href="{found["href"]}"'.replace("&", "&amp;") in html.replace("&#39;", "'")
    return dict(found)


def test_a_job_that_failed(tmp_path: Path, files: list[Path]) -> None:
    found = told(bench_of(tmp_path, files, FAILING, "own"), "job.failed")
    assert found["message"].startswith("1 job of own failed: ")
    assert "the network was fed soup." in found["message"]
    assert found["message"].endswith("The originals were not touched.")
    assert (found["severity"], found["href"]) == ("failure", "/queue?state=failed&pipeline=own")


def test_what_a_guard_withheld_is_told_but_needs_nobody(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files, WITHHOLDING, "own")
    browser = client(Headless(bench.flow), "viewer")
    body = browser.get("/api/v1/today").json()
    assert body["ended"] == {"withheld": 1}
    assert not body["troubles"]
    (job,) = body["withheld"]
    assert "SliceThickness" in job["reason"]
    assert job["reason"].split(";")[0] in browser.get("/").text


def sender(bench: FlowBench, port: int) -> Sender:
    return Sender(
        Destination("pacs", "PACS", "127.0.0.1", port),
        bench.flow.database,
        bench.flow.root,
        calling_aet="NODE",
        node="n",
        backoff=Backoff(30.0, 30.0),
        timeouts=Timeouts(connect=60.0, acse=60.0, dimse=60.0),
    )


@pytest.fixture
def pacs() -> Iterator[ScriptedPacs]:
    with ScriptedPacs() as running:
        yield running


def test_a_dead_letter(tmp_path: Path, files: list[Path], pacs: ScriptedPacs) -> None:
    bench = bench_of(tmp_path, files)
    pacs.always = 0xC000
    while sender(bench, pacs.port).send_next():
        pass
    assert [row.state for row in bench.deliveries() if row.destination == "pacs"] == ["failed"]
    found = told(bench, "delivery.failed")
    assert found["message"].startswith("1 delivery to pacs will not be tried again: ")
    assert "C000" in found["message"]
    assert found["href"] == "/queue/deliveries?state=failed&destination=pacs"


def test_a_destination_that_is_down(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files)
    sender(bench, free_port()).send_next()
    found = told(bench, "destination.network")
    assert found["message"].startswith("pacs cannot be reached: ")
    assert "goes out once it answers" in found["message"]


def test_a_destination_that_is_full(tmp_path: Path, files: list[Path], pacs: ScriptedPacs) -> None:
    bench = bench_of(tmp_path, files)
    pacs.always = 0xA700
    sender(bench, pacs.port).send_next()
    assert told(bench, "destination.resources")["message"].startswith("pacs is out of resources: ")


def test_a_destination_that_refuses_the_node(tmp_path: Path, files: list[Path], pacs: ScriptedPacs) -> None:
    bench = bench_of(tmp_path, files)
    pacs.refusal = Refusal.UNKNOWN_CALLER
    sender(bench, pacs.port).send_next()
    found = told(bench, "destination.configuration")
    assert found["message"].startswith("pacs refuses this node: ")
    assert "AE titles" in found["way_out"]


def test_what_was_delivered_is_counted(tmp_path: Path, files: list[Path], pacs: ScriptedPacs) -> None:
    bench = bench_of(tmp_path, files)
    while sender(bench, pacs.port).send_next():
        pass
    browser = client(Headless(bench.flow), "viewer")
    body = browser.get("/api/v1/today").json()
    assert (body["delivered"], body["troubles"]) == (1, [])
    assert {way["destination"]: (way["derived"], way["waiting"]) for way in body["ways"]} == {
        "pacs": (1, 0),
        "archive": (0, 1),
    }
    charts = browser.get("/api/v1/today/charts").json()
    assert charts["way_count"] == 1
    assert charts["way_median"] > 0
    assert "1 derived series today" in browser.get("/today/charts").text


@pytest.mark.parametrize(
    ("kind", "words", "href"),
    [
        (holds.ENHANCING, "Enhancing is stopped by otto", "/system"),
        (holds.JOBS, "Every job is paused by otto", "/queue"),
        (holds.DESTINATION, "pacs is paused by otto", "/destinations/pacs"),
    ],
)
def test_what_people_hold(tmp_path: Path, files: list[Path], kind: str, words: str, href: str) -> None:
    bench = bench_of(tmp_path, files)
    if kind == holds.ENHANCING:
        switch.stop(bench.flow, OTTO, "ghosts in the liver")
    else:
        with bench.flow.database.write() as session:
            if kind == holds.JOBS:
                switches.pause(session, "", OTTO.name, "ghosts in the liver", "n")
            else:
                holds.hold(session, holds.DESTINATION, "pacs", OTTO.name, "ghosts in the liver")
    found = told(bench, f"held.{kind}")
    assert found["message"].startswith(words)
    assert "(ghosts in the liver)" in found["message"]
    assert (found["severity"], found["href"]) == ("warning", href)


def test_a_conflict_in_quarantine(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node")
    dataset = dcmread(str(get_testdata_file("CT_small.dcm", download=False)))
    bench.receive(dataset)
    pixels = bytearray(dataset.PixelData)
    pixels[:64] = bytes(64)
    dataset.PixelData = bytes(pixels)
    bench.receive(dataset)
    found = told(bench, "instance.conflict")
    assert found["message"].startswith("1 instance of a series came again with other content.")
    assert found["href"] == f"/series/{dataset.SeriesInstanceUID}"


def test_a_modality_that_could_not_be_answered(tmp_path: Path, files: list[Path]) -> None:
    bench = VouchingBench(tmp_path / "node")
    bench.again([dcmread(file) for file in files])
    bench.ask("1.2.3.4")
    while bench.request().state != "abandoned":
        bench.hurry()
        assert vouch_due(bench.flow)
    found = told(bench, "commitment.abandoned")
    assert "1 request of CT1 for storage commitment could not be answered: nobody knows where CT1" in found["message"]


def test_a_disk_that_is_full(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files)
    store = StoreSettings(root=bench.flow.root, min_free_gb=1e6)
    bench.flow.settings = bench.flow.settings.model_copy(update={"store": store})
    found = told(bench, "folder.full")
    assert "every C-STORE is refused" in found["message"]
    assert found["href"] == "/system"


def test_a_node_that_fell_silent(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files)
    with bench.flow.database.write() as session:
        assert nodes.add(session, "other")
    assert told(bench, "node.silent")["message"].startswith("The node other is silent: it gives no sign of life")


def test_a_rule_whose_pipeline_broke(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files, WITHHOLDING, "own")
    broken = WITHHOLDING.replace("Acceptance, ", "Acceptance, Nonsense, ")
    (tmp_path / "node/pipelines/own.py").write_text(broken, encoding="utf-8")
    bench.flow.registry = Registry.load([tmp_path / "node/pipelines"])
    found = told(bench, "rule.pipeline")
    assert found["message"].startswith("The rule all CT enhances nothing: it asks for pipeline own")
    assert "Nonsense" in found["message"]


def test_a_scanner_that_drifts(tmp_path: Path, files: list[Path]) -> None:
    bench = bench_of(tmp_path, files)
    facts = facts_so_far(bench.flow, bench.series()[0])
    scanner = group_of(facts, "passthrough")[0]
    with bench.flow.database.write() as session:
        row = session.scalars(select(Enhancement)).one()
        for number in range(60):
            sigma = 10.0 + 0.3 * (number % 5) if number < 40 else 60.0
            figure = GuardFigure("input noise", Verdict.PASS, sigma, None, details={"mean": sigma})
            note_input(session, row, facts, [figure], "n", row.created_at)
    found = told(bench, "drift")
    assert found["message"].startswith(f"What {scanner} sends has changed: sigma is ")
    assert found["href"] == "/pipelines/passthrough"


def test_what_the_processes_say(tmp_path: Path, files: list[Path]) -> None:
    bench = FlowBench(tmp_path / "node", RULES.format("passthrough"))
    bench.receive_files(files)
    bench.complete()
    live = Live(
        listening=False,
        workers=("n/cpu/0",),
        backlog=10_000,
        refusal="the index is behind: too many stored instances wait for it",
        loops=[LoopState("index", True, "OperationalError: database is locked"), LoopState("sweep", True)],
    )
    assert "not every receiving process" in told(bench, "receiver", live)["message"]
    assert "10000 wait for the index" in told(bench, "index", live)["message"]
    assert "no worker process runs" in told(bench, "workers", live)["message"]
    assert "index does not get on: OperationalError" in told(bench, "loop", live)["message"]
    alive = replace(live, listening=True, refusal="", workers_alive=1, loops=[LoopState("index", True)])
    assert not client(Headless(bench.flow, processes=alive), "viewer").get("/api/v1/today").json()["troubles"]
