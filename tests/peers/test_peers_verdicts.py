"""What guards say and what is refused, seen from outside: Orthanc, `jobs show`, the audit, `rules list`.

A flagged series is delivered and says so. Of a withheld one, and of one whose model is refused, the originals go on
alone, and one sentence says why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from safetensors.numpy import save_file
from support.brokenpipelines import write_card
from support.mainflow import (
    ANNOUNCED,
    IS_CT,
    derived_of,
    destination,
    enhancing,
    held_of,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawfiles import raw_file
from support.series import make_ct_series

from dicomnode.domain.states import DELIVERED

pytestmark = [pytest.mark.peers, pytest.mark.torch]

SLICES = 4

PIPELINE = """
from dicomnode.enhance.api import Acceptance, Envelope, GuardLimits, Pipeline


class Own(Pipeline):
    name, version, title, precision = "{name}", "1.0.0", "{name}", "float32"
    {line}

    def accepts(self, series):
        return Acceptance.yes()

    def load(self, weights, device):
        self.gain = float(weights.get("gain", [1.0])[0])

    def enhance(self, slices, params):
        return slices[:, 0] * self.gain {more}
"""
LINES = {
    "blinded": "guards = GuardLimits(residual_sigmas=3.0)",
    "foreign": "envelope = Envelope(number={'KVP': (70, 100)})",
    "unusual": "guards = GuardLimits(body_share=(-2.0, -1.0, 0.01, 2.0), body_above=-300.0)",
    "tampered": 'weights = "tampered.safetensors"',
    "drifted": 'weights = "drifted.safetensors"',
}
MORE = {"blinded": "* 0.5"}


def write_pipelines(folder: Path) -> None:
    """One pipeline for each kind of end; the weights of two of them are not what their cards say."""
    (folder / "weights").mkdir(parents=True)
    for name, line in LINES.items():
        text = PIPELINE.format(name=name, line=line, more=MORE.get(name, ""))
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    for name, mean in (("tampered", 0.0), ("drifted", 5000.0)):
        weights = folder / "weights" / f"{name}.safetensors"
        save_file({"gain": np.ones(1, np.float32)}, weights)
        write_card(weights, mean)
    changed = folder / "weights" / "tampered.safetensors"
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)


@dataclass
class House:
    node: Node
    pacs: Orthanc


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Every CT goes on to the PACS as it is; a series named after a pipeline is enhanced by it."""
    root = tmp_path_factory.mktemp("verdicts")
    with Orthanc(root / "pacs") as pacs:
        originals = {"name": "originals", "state": "live", "when": IS_CT, "forward_original_to": ["pacs"]}
        rules = [enhancing(name, when={"attribute": "SeriesDescription", "equals": name}) for name in LINES]
        document = site([destination("pacs", pacs.ae_title, pacs.dicom_port)], [originals, *rules])
        node = Node(root / "node", site_yaml=document, completion=ANNOUNCED)
        write_pipelines(node.root / str(node.settings["pipelines"]["path"]))
        with node:
            yield House(node, pacs)


@dataclass
class Told:
    """What became of one series, and who says so."""

    files: list[Path]
    job: dict[str, Any]
    events: list[dict[str, Any]]


def gone_through(house: House, folder: Path, name: str) -> Told:
    """Send a series for the pipeline; wait until its job is over and all deliveries are sent."""
    seed = list(LINES).index(name)
    files = make_ct_series(folder, SLICES, rows=64, seed=seed, study=name, description=name, images_in_acquisition=True)
    send(house.node, files)
    uid = series_uid(files[0])

    def over() -> bool:
        document = shown(house.node, uid)
        jobs = [one["state"] for one in document["enhancements"]]
        sent = [one["state"] for one in document["deliveries"]]
        return bool(jobs and sent) and {*jobs, *sent} <= {"done", "withheld", "failed", *DELIVERED}

    house.node.wait_until(over, 60.0, f"the end of {name}")
    (job,) = (one for one in house.node.cli("jobs", "list") if one["series_uid"] == uid)
    return Told(files, house.node.cli("jobs", "show", str(job["id"])), house.node.cli("audit", "list", "--series", uid))


@pytest.mark.parametrize(
    ("name", "guard", "reason"),
    [
        ("blinded", "residual bound", "of the pixels wanted to move by more than 3 sigmas of the local noise"),
        ("foreign", "envelope", "KVP is 120.0, the model knows 70 to 100"),
    ],
)
def test_a_withheld_series_delivers_originals_alone_and_says_why(
    house: House, tmp_path: Path, name: str, guard: str, reason: str
) -> None:
    told = gone_through(house, tmp_path / "ct", name)
    assert held_of(house.pacs, raw_file(told.files[0]).study_uid) == set(sop_uids(told.files))
    assert (told.job["state"], told.job["verdict"], told.job["outputs"]) == ("withheld", "withhold", 0)
    assert reason in told.job["reason"]
    (figure,) = (one for one in told.job["figures"] if one["guard"] == guard)
    assert figure["verdict"] == "withhold"
    (event,) = (one for one in told.events if one["kind"] == "enhancement.withheld")
    assert reason in event["message"]
    text = house.node.cli("jobs", "show", str(told.job["id"]), as_json=False)
    assert reason in " ".join(text.split())


def test_a_flagged_series_is_delivered_and_says_so(house: House, tmp_path: Path) -> None:
    told = gone_through(house, tmp_path / "ct", "unusual")
    study = raw_file(told.files[0]).study_uid
    house.node.wait_until(lambda: len(held_of(house.pacs, study)) == 2 * SLICES, 60.0, "the derived series")
    assert (told.job["state"], told.job["verdict"], told.job["outputs"]) == ("done", "flag", SLICES)
    for path in derived_of(house.pacs, told.files, tmp_path / "derived"):
        assert "the body's share" in str(dcmread(path, stop_before_pixels=True).ImageComments)
    (event,) = (one for one in told.events if one["kind"] == "enhancement.done")
    assert "flagged: the body's share" in event["message"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("tampered", "the weights tampered.safetensors are not those of their model card (sha256 "),
        ("drifted", "drifted fails its golden case: mean is "),
    ],
)
def test_a_refused_model_enhances_nothing_and_one_sentence_says_why(
    house: House, tmp_path: Path, name: str, reason: str
) -> None:
    told = gone_through(house, tmp_path / "ct", name)
    assert held_of(house.pacs, raw_file(told.files[0]).study_uid) == set(sop_uids(told.files))
    assert (told.job["state"], told.job["verdict"], told.job["outputs"]) == ("failed", "", 0)
    assert told.job["reason"].startswith(reason)
    assert "\n" not in told.job["reason"]
    assert told.job["attempt"] == 1, "another attempt would end the same way"
    (event,) = (one for one in told.events if one["kind"] == "enhancement.failed")
    assert reason in event["message"]


def test_a_rule_whose_weights_were_tampered_with_says_so(house: House) -> None:
    problems = {rule["name"]: rule["problem"] for rule in house.node.cli("rules", "list")}
    assert problems.pop("tampered").startswith("the weights tampered.safetensors are not those of their model card")
    assert set(problems.values()) == {""}
