"""Pipelines and models: what is broken is shown as broken, weights are held against their card, jobs are counted."""

import hashlib
import os
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.brokenpipelines import REASONS, write_broken, write_model
from support.flowbench import FlowBench
from support.queuerows import fill, job
from support.series import make_ct_series
from support.webapp import Headless, client, headless

from dicomnode.app import load_registry
from dicomnode.db.models import Enhancement
from dicomnode.desk.parameters import Parameter, parameters
from dicomnode.desk.pipelines import flat
from dicomnode.enhance.registry import Registry

RULES = """
  - name: all CT
    state: live
    when: {all: []}
    enhance: {pipeline: own}
    deliver_to: [pacs]
"""
OWN = """
from dicomnode.enhance.api import Acceptance, Pipeline


class Own(Pipeline):
    name, version, title, precision = "own", "1.0.0", "as it is", "float32"

    def accepts(self, series):
        return Acceptance.yes()

    def enhance(self, slices, params):
        return slices[:, 0]
"""
MODEL = (
    OWN.replace('"own"', '"model"')
    .replace("precision =", "weights, precision =")
    .replace('"as it is"', '"a model", "model-1.safetensors"')
)
CARD = """
limits = ["Never tried on <b>children</b>."]
[model]
name = "model"
version = "1.0"
title = "A model of nothing"
intended_use = "To be looked at."
not_for = "Anything else."
licence = "MIT"
[weights]
file = "model-1.safetensors"
sha256 = "{sha256}"
parameters = 1234567
[[training_data]]
name = "two adults"
package = "p"
version = "1"
file = "f"
sha256 = "{sha256}"
licence = "MIT"
role = "training"
[metrics]
psnr = {{ "mean value" = 42.123456, slices = [1, 2] }}
"""


def node_with(folder: Path) -> Headless:
    """A node with these pipelines of its own in `folder`/own."""
    node = headless(folder / "node", pipelines={"path": folder / "own"})
    node.flow.registry = load_registry(node.flow.settings)
    return node


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_a_broken_file_is_shown_as_broken_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    broken = OWN.replace("Acceptance, ", "Acceptance, Nonsense, ")
    (tmp_path / "own/half_done.py").write_text(broken, encoding="utf-8")
    browser = client(node_with(tmp_path), "viewer")
    assert re.search(r"half-done .*broken .*Nonsense", text_of(browser.get("/pipelines").text))
    page = browser.get("/pipelines/half-done")
    assert page.status_code == 200
    assert "It cannot be used." in page.text
    (found,) = [each for each in browser.get("/api/v1/pipelines").json() if not each["usable"]]
    assert (found["name"], found["file"]) == ("half-done", "half_done.py")
    assert "Nonsense" in found["error"]
    assert browser.get("/pipelines/nobody").status_code == 404
    assert browser.get("/api/v1/pipelines/nobody").json()["detail"] == "there is no pipeline nobody"


def test_every_pipeline_of_the_registry_has_its_line_and_page(tmp_path: Path) -> None:
    node = node_with(tmp_path)
    browser = client(node, "viewer")
    names = [each["name"] for each in browser.get("/api/v1/pipelines").json()]
    assert names == [entry.name for entry in node.flow.registry]
    for name in names:
        assert f'href="/pipelines/{name}"' in browser.get("/pipelines").text
        assert browser.get(f"/pipelines/{name}").status_code == 200


def test_the_shipped_model_shows_its_card(tmp_path: Path) -> None:
    browser = client(node_with(tmp_path), "viewer")
    page = text_of(browser.get("/pipelines/ct-denoise").text)
    for words in (
        "Not for primary diagnosis",
        "Trained on",
        "pyradiomics lung1",
        "It can draw small vessels",
        "verified",
    ):
        assert words in page
    story = browser.get("/api/v1/pipelines/ct-denoise").json()
    strength = next(each for each in story["parameters"] if each["name"] == "strength")
    assert (strength["kind"], strength["allowed"], strength["default"]) == ("number", "at least 0, at most 1", "0.9")
    assert story["card"]["weights"]["sha256"] == story["view"]["weights"]["sha256"]
    assert story["view"]["weights"]["verified"]


def test_weights_are_verified_until_their_bytes_change(tmp_path: Path) -> None:
    folder = tmp_path / "own/weights"
    folder.mkdir(parents=True)
    (tmp_path / "own/model.py").write_text(MODEL, encoding="utf-8")
    weights = folder / "model-1.safetensors"
    weights.write_bytes(b"as it was trained")
    card = CARD.format(sha256=hashlib.sha256(b"as it was trained").hexdigest())
    weights.with_suffix(".toml").write_text(card, encoding="utf-8")
    browser = client(node_with(tmp_path), "viewer")
    page = browser.get("/pipelines/model").text
    assert "Never tried on &lt;b&gt;children&lt;/b&gt;." in page
    assert "1,234,567" in page
    assert re.search(r"psnr mean value 42\.12 ", text_of(page))
    assert state(browser) == (True, "")
    weights.write_bytes(b"as somebody left it")
    verified, reason = state(browser)
    assert not verified
    assert "are not those of their model card" in reason
    assert "not verified" in browser.get("/pipelines").text
    view = browser.get("/api/v1/pipelines/model").json()["view"]
    assert (view["usable"], view["error"]) == (False, reason)
    weights.write_bytes(b"as it was trained")
    assert state(browser) == (True, "")
    weights.unlink()
    assert "missing" in state(browser)[1]


def test_each_kind_of_broken_pipeline_is_shown_as_broken_with_its_reason(tmp_path: Path) -> None:
    write_broken(tmp_path / "own")
    node = node_with(tmp_path)
    said = f"{REASONS['drifted']}: mean is 0 instead of 5000 +- 1000"
    fill(node.flow.database, [refused(node, "drifted", said)])
    browser = client(node, "viewer")
    found = {each["name"]: each for each in browser.get("/api/v1/pipelines").json() if not each["usable"]}
    assert found.keys() == REASONS.keys()
    for name, reason in REASONS.items():
        assert reason in found[name]["error"]
        assert re.search(rf"{name} .*?broken .*?{re.escape(reason)}", text_of(unescape(browser.get("/pipelines").text)))
        page = unescape(browser.get(f"/pipelines/{name}").text)
        assert "It cannot be used." in page
        assert reason in page
    assert "Not known: its file cannot be loaded." in browser.get("/pipelines/unfinished").text
    check_up = {row["subject"]: row["message"] for row in browser.get("/api/v1/system/check-up").json()}
    assert all(reason in check_up[f"pipeline:{name}"] for name, reason in REASONS.items())


def test_a_golden_case_that_failed_is_forgotten_once_it_holds_or_somebody_mends_it(tmp_path: Path) -> None:
    (tmp_path / "own/weights").mkdir(parents=True)
    write_model(tmp_path / "own", "model")
    node = node_with(tmp_path)
    failed, browser = refused(node, "model", "model fails its golden case: mean is 1"), client(node, "viewer")
    fill(node.flow.database, [failed])
    assert not usable(browser)
    with node.flow.database.write() as session:
        session.add(refused(node, "model", "2 derived instances", number=2, state="done"))
    assert usable(browser)
    with node.flow.database.write() as session:
        session.add(refused(node, "model", "the series has no instances", number=3))
    assert usable(browser), "what is wrong with a series is not wrong with the pipeline"
    with node.flow.database.write() as session:
        session.add(refused(node, "model", "pipeline model could not load its network: KeyError: gain", number=4))
    assert not usable(browser)
    os.utime(tmp_path / "own/weights/model.toml", (later := datetime.now(UTC).timestamp() + 3600, later))
    assert usable(browser), "somebody has mended its card since"


def refused(node: Headless, name: str, reason: str, number: int = 1, state: str = "failed") -> Enhancement:
    """A job that a worker ended so."""
    entry = node.flow.registry.get(name)
    assert entry is not None
    assert entry.card is not None
    ended = datetime.now(UTC) + timedelta(seconds=number)
    recipe = {"pipeline": name, "version": entry.version, "weights_sha256": entry.card.weights.sha256}
    return job(number, state, reason=reason, started_at=ended, finished_at=ended, **recipe)


def usable(browser: TestClient) -> bool:
    return bool(browser.get("/api/v1/pipelines/model").json()["view"]["usable"])


def state(browser: TestClient) -> tuple[bool, str]:
    found = browser.get("/api/v1/pipelines/model").json()["view"]["weights"]
    return found["verified"], found["reason"]


@pytest.mark.torch
@pytest.mark.usefixtures("each_database")
def test_rules_and_last_jobs_of_a_pipeline(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node", RULES, OWN)
    bench.receive_files(make_ct_series(tmp_path / "ct", 2, rows=32))
    bench.complete()
    bench.work()
    browser = client(Headless(bench.flow), "viewer")
    story = browser.get("/api/v1/pipelines/own").json()
    assert story["view"]["uses"] == [{"rule": "all CT", "state": "live"}]
    assert story["view"]["lately"]["states"] == {"done": 1}
    assert story["view"]["lately"]["median_seconds"] == pytest.approx(story["runs"][0]["seconds"])
    assert [run["state"] for run in story["runs"]] == ["done"]
    page = browser.get("/pipelines/own").text
    assert f'href="/series/{bench.series()[0].uid}"' in page
    bench.flow.registry = Registry.load([])
    (absent,) = [each for each in browser.get("/api/v1/pipelines").json() if each["name"] == "own"]
    assert absent["error"] == "it is not installed"
    assert "it is not installed" in browser.get("/pipelines/own").text


def test_parameters_in_words() -> None:
    schema = {
        "required": ["mode"],
        "$defs": {"Mode": {"enum": ["soft", "sharp"], "type": "string", "description": "How."}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode"},
            "radius": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9, "default": 3},
            "seed": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
            "fast": {"type": "boolean", "default": True},
        },
    }
    assert list(parameters(schema)) == [
        Parameter("mode", "text", "soft, sharp", "must be set", "How."),
        Parameter("radius", "whole number", "above 0, at most 9", "3", ""),
        Parameter("seed", "whole number", "at least 1", "None", ""),
        Parameter("fast", "yes or no", "", "True", ""),
    ]


def test_free_tables_line_by_line() -> None:
    table = {"a_b": {"c": 1.23456, "d": [1, 2.5]}, "rows": [{"x": 1}, {"x": 2}], "e": "words"}
    assert list(flat(table)) == [
        ("a b c", "1.235"), ("a b d", "1, 2.5"), ("rows 1 x", "1"), ("rows 2 x", "2"), ("e", "words"),
    ]  # fmt: skip
