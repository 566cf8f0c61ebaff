"""Every command beside a running node: one JSON document, or a non-zero exit and one plain sentence."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.mainflow import ANNOUNCED, add_pipeline, destination, enhancing, send, series_uid, site, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc, free_port
from support.series import make_ct_series

pytestmark = pytest.mark.peers

COMMANDS = [
    *("config check", "db upgrade", "site export", "site import {site}", "destinations list", "destinations echo pacs"),
    *("rules list", "rules explain --series {series}", "series list", "series list --study {study}"),
    *("series show {series}", "series export {series} --out {out}/exported", "jobs list", "jobs show 1"),
    *("deliveries list", "deliveries show 1", "pipelines list", "models list", "models verify"),
    *("pipelines run soften --in {files} --out {out}/by-hand", "send {files} --to pacs"),
    *("send {files} --to 127.0.0.1:{port} --called ORTHANC", "audit list --series {series}", "audit verify"),
    *("audit export", "doctor", "series keep {series}", "series release {series}"),
]
ERRORS = {
    "series show 1.2.3": "no instance of series 1.2.3 has arrived",
    "series complete 1.2.3": "no instance of series 1.2.3 has arrived",
    "series complete {series}": "the series is already complete (generation 1)",
    "series export 1.2.3 --out {out}/nothing": "no instance of series 1.2.3 has arrived",
    "series keep 1.2.3": "no instance of series 1.2.3 has arrived",
    "series release 1.2.3": "no instance of series 1.2.3 has arrived",
    "rules explain --series 1.2.3": "no instance of series 1.2.3 has arrived",
    "jobs show 99": "there is no job 99",
    "jobs retry 99": "there is no job 99",
    "jobs retry 1": "job 1 is done: it cannot become ready",
    "jobs cancel 1": "job 1 is done: it cannot become cancelled",
    "deliveries show 99": "there is no delivery 99",
    "deliveries retry 1": "delivery 1 is sent: only a failed one can be sent again",
    "destinations echo nowhere": "there is no destination 'nowhere'",
    "destinations echo gone": "gone (GONE at 127.0.0.1:{gone}) does not answer: ",
    "send {files} --to nowhere": "there is no destination 'nowhere'; --to takes a destination's name or HOST:PORT",
    "send {empty} --to pacs": "there are no DICOM files in {empty}",
    "pipelines run sofen --in {files} --out {out}": "there is no pipeline named sofen; did you mean soften?",
    "pipelines run soften --in {out}/nowhere --out {out}": "there is no folder {out}/nowhere",
    "site import {out}/nowhere.yaml": "cannot read {out}/nowhere.yaml: ",
}


@dataclass
class Told:
    """What each command answered, and the names that stand for what is known only at run time."""

    answers: dict[str, "subprocess.CompletedProcess[str]"]
    names: dict[str, str]

    def document(self, command: str) -> Any:
        return json.loads(self.answers[command].stdout)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """A series went through; then every command was given once."""
    root = tmp_path_factory.mktemp("cli")
    files = make_ct_series(root / "files", 3, rows=64, images_in_acquisition=True)
    gone = free_port()
    (root / "empty").mkdir()
    with Orthanc(root / "orthanc") as orthanc:
        destinations = [
            destination("pacs", orthanc.ae_title, orthanc.dicom_port),
            destination("gone", "GONE", gone),
        ]
        (root / "site.yaml").write_text(document := site(destinations, [enhancing("soften")]))
        node = Node(root / "node", site_yaml=document, completion=ANNOUNCED)
        add_pipeline(node)
        with node:
            send(node, files)
            wait_sent(node, 1)
            names = {
                **{"series": series_uid(files[0]), "study": orthanc.studies()[0], "site": f"{root}/site.yaml"},
                **{"out": f"{root}/out", "files": f"{root}/files", "empty": f"{root}/empty"},
                **{"port": str(orthanc.dicom_port), "gone": str(gone)},
            }
            yield Told({each: run(node, each.format(**names)) for each in [*COMMANDS, *ERRORS]}, names)


def run(node: Node, command: str) -> "subprocess.CompletedProcess[str]":
    answer: subprocess.CompletedProcess[str] = node.cli(*command.split(), "--json", check=False)
    return answer


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_one_json_document(told: Told, command: str) -> None:
    answer = told.answers[command]
    assert answer.returncode == 0, answer.stderr
    assert told.document(command)
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", ERRORS)
def test_what_cannot_be_done_is_one_plain_sentence(told: Told, command: str) -> None:
    answer = told.answers[command]
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"dicomnode: {ERRORS[command].format(**told.names)}")
    assert answer.stderr.count("\n") == 1


def test_an_export_is_the_series_as_it_came(told: Told) -> None:
    assert told.document("series export {series} --out {out}/exported") == {"uid": told.names["series"], "files": 3}
    assert len(list(Path(told.names["out"], "exported").iterdir())) == 3


def test_a_pipeline_by_hand_writes_its_series(told: Told) -> None:
    (row,) = told.document("pipelines run soften --in {files} --out {out}/by-hand")
    assert (row["series_uid"], row["files"], row["verdict"]) == (told.names["series"], 3, "pass")
    assert len(list(Path(told.names["out"], "by-hand", row["derived_series_uid"]).iterdir())) == 3


def test_files_are_sent_by_name_and_by_address(told: Told) -> None:
    for command in ("send {files} --to pacs", "send {files} --to 127.0.0.1:{port} --called ORTHANC"):
        told_of = told.document(command)
        assert told_of.pop("seconds") > 0
        assert told_of == {"sent": 3, "refused": [], "transcoded": {}}


def test_a_rule_explains_itself(told: Told) -> None:
    (rule,) = told.document("rules explain --series {series}")["rules"]
    assert (rule["rule"], rule["matched"]) == ("soften", True)
    assert "CT" in json.dumps(rule["condition"])


@pytest.fixture(scope="module")
def unused(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """A node that never ran; its database is there."""
    node = Node(tmp_path_factory.mktemp("unused"))
    assert node.cli("db", "upgrade")["before"] is None
    return node


BAD_SITES = {
    "rules:\n  - {name: r, state: live, deliver_to: [pacs], enhance: {pipeline: passthrough},"
    " when: {attribute: Modalty, equals: CT}}\n": "Modality",
    "rules:\n  - {name: r, state: live, deliver_to: [pacs], enhance: {pipeline: passthrogh},"
    " when: {attribute: Modality, equals: CT}}\n": "passthrough",
    "rules:\n  - {name: r, state: live, deliver_to: [pcs], enhance: {pipeline: passthrough},"
    " when: {attribute: Modality, equals: CT}}\n": "pacs",
    "rules: [}\n": "line 2",
}
"""What is wrong, and the name or place that the refusal must tell."""
PACS = "destinations: [{name: pacs, kind: dimse, ae_title: PACS, host: 127.0.0.1, port: 104}]\n"


@pytest.mark.parametrize("rules", BAD_SITES)
def test_a_bad_site_document_is_refused_with_the_nearest_names(unused: Node, rules: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(PACS + rules)
    answer = run(unused, f"site import {tmp_path}/site.yaml")
    assert answer.returncode == 1
    assert answer.stderr.startswith("dicomnode: the document is refused, nothing was changed:\n")
    assert BAD_SITES[rules] in answer.stderr
    refused = json.loads(answer.stdout)
    assert (refused["ok"], len(refused["problems"])) == (False, 1)


WRONG_SETTINGS = {
    "[dicom]\nprot = 104\n": "setting dicom.prot: Extra inputs are not permitted",
    "[dicom]\nport = 99999\n": "setting dicom.port: ",
    '[completion]\nquiet_seconds = "soon"\n': "setting completion.quiet_seconds: ",
    "[dicom\n": "cannot read the settings file ",
}


@pytest.mark.parametrize("text", WRONG_SETTINGS)
def test_wrong_settings_are_named(text: str, tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.config.write_text(text)
    answer = run(node, "config check")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.startswith(f"dicomnode: {WRONG_SETTINGS[text]}")
    assert "Traceback" not in answer.stderr
