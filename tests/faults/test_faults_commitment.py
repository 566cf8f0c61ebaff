"""A modality asks the node to keep what it sent: unknown and damaged instances, the modality away, the node killed."""

import json
import os
import time
from pathlib import Path

import pytest
from faults.scenario import ask, events, send_all, wait_indexed
from support.asking import AskingModality, Told
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.rawfiles import RawFile

pytestmark = pytest.mark.faults

UNKNOWN = "1.2.826.0.1.3680043.8.498.4711"


def a_node(root: Path, modality: AskingModality, stage: str = "") -> Node:
    """A node that may be asked, knows where the modality listens, and is killed once when it reaches `stage`."""
    peers = {modality.ae_title: {"report_to": f"127.0.0.1:{modality.port}"}}
    env = {"DICOMNODE_DICOM__PEERS": json.dumps(peers)}
    if stage:
        env["DICOMNODE_FAULT"] = f"{stage}:{root.parent / 'struck'}"
    return Node(root, dicom={"commitment": True}, engine={"devices": []}, env=env)


def flip_a_byte(node: Node, uid: str) -> None:
    """Of the pixels of a stored instance."""
    ((name, offset, length),) = ask(node, 'SELECT container, "offset", length FROM instance WHERE sop_uid = ?', uid)
    descriptor = os.open(node.root / str(node.settings["store"]["root"]) / name, os.O_RDWR)
    try:
        place = offset + length - 11
        (value,) = os.pread(descriptor, 1, place)
        os.pwrite(descriptor, bytes([value ^ 0x10]), place)
    finally:
        os.close(descriptor)


def state(node: Node, uid: str) -> tuple[str, int]:
    """State of a request and how often its report failed; ("", 0) before the index has it."""
    rows = ask(node, "SELECT state, attempts FROM commitment_request WHERE transaction_uid = ?", uid)
    return (rows[0][0], rows[0][1]) if rows else ("", 0)


def start_again(node: Node, struck: Path) -> None:
    """Once it has struck itself down."""
    deadline = time.monotonic() + 60.0
    while not struck.exists():
        assert time.monotonic() < deadline, "nobody died"
        time.sleep(0.05)
    node.kill9()
    node.start()


def unheard(node: Node, uid: str) -> bool:
    """Whether a report was tried and nobody heard it."""
    found, attempts = state(node, uid)
    return found == "judged" and attempts > 0


def references(files: list[RawFile], *uids: str) -> list[tuple[str, str]]:
    return [(file.sop_class, file.sop_uid) for file in files] + [(files[0].sop_class, uid) for uid in uids]


def assert_answer(told: Told, files: list[RawFile], damaged: str) -> None:
    """Every instance stands in exactly one of the two sequences."""
    sop_class = files[0].sop_class
    assert told.committed == {(sop_class, file.sop_uid) for file in files if file.sop_uid != damaged}
    assert told.reasons == {damaged: 0x0110, UNKNOWN: 0x0112}
    assert told.event_type == 2


@pytest.mark.parametrize("form", forms(10))
def test_only_what_is_whole_is_promised_and_the_answer_gets_through(
    form: Form, tmp_path: Path, record_row: RecordRow
) -> None:
    template, told = ct_template(64), 0
    with AskingModality() as modality:
        modality.stop()
        node = a_node(tmp_path / "node", modality)
        with node:
            for round_ in range(form["rounds"]):
                files = list(template.series(round_ + 1, form["instances"]))
                damaged, uid = files[len(files) // 2], f"1.2.3.{round_}"
                send_all(node, files)
                wait_indexed(node, files)
                flip_a_byte(node, damaged.sop_uid)
                assert modality.ask(node.dicom_port, uid, references(files, UNKNOWN)) == 0x0000
                node.wait_until(lambda uid=uid: unheard(node, uid), 60.0, "a report that nobody hears")  # type: ignore[misc]
                node.kill9()
                modality.start()
                node.start()
                told += 1
                assert_answer(modality.wait_for(told, 60.0)[-1], files, damaged.sop_uid)
                node.wait_until(lambda uid=uid: state(node, uid)[0] == "reported", 60.0, "the answer to be noted")  # type: ignore[misc]
                modality.stop()
            modality.start()
            send_all(node, [damaged])
            assert modality.ask(node.dicom_port, "1.2.4", references(files)) == 0x0000
            healed = modality.wait_for(told + 1, 60.0)[-1]
            assert (healed.event_type, len(healed.committed), healed.failed) == (1, len(files), frozenset())
        assert len(modality.told) == told + 1
    record_row(
        form,
        node=f"{told} answers after a kill -9: {form['instances'] - 1} kept, 0110 and 0112 for one each, every time",
    )


@pytest.mark.parametrize("stage", ["weighed", "judged", "told"])
def test_killed_at_each_stage_it_answers_once_judged_once(stage: str, tmp_path: Path) -> None:
    """Only where the modality had heard it already, and the node died before it could note that, is it told twice."""
    files = list(ct_template(64).series(1, 4))
    with AskingModality() as modality, a_node(tmp_path / "node", modality, stage) as node:
        send_all(node, files)
        assert modality.ask(node.dicom_port, "1.2.5", references(files, UNKNOWN)) == 0x0000
        start_again(node, tmp_path / "struck")
        told = modality.wait_for(2 if stage == "told" else 1, 90.0)
        node.wait_until(lambda: state(node, "1.2.5")[0] == "reported", 60.0, "the answer to be noted")
        assert len(set(told)) == 1
        assert len(modality.told) == (2 if stage == "told" else 1)
        assert len(events(node, "commitment.judged")) == len(events(node, "commitment.reported")) == 1


def test_acknowledged_at_the_last_moment_and_asked_for_at_once(tmp_path: Path) -> None:
    """The request overtakes what was acknowledged before it, on its way into the index: it waits for that."""
    template = ct_template(64)
    with AskingModality() as modality, a_node(tmp_path / "node", modality) as node:
        for round_ in range(8):
            files = list(template.series(round_ + 1, 12))
            send_all(node, files)
            assert modality.ask(node.dicom_port, f"1.2.6.{round_}", references(files)) == 0x0000
        for told in modality.wait_for(8, 60.0):
            assert told.event_type == 1, told.reasons
