"""What came of storage commitment and was answered is kept: synced before the answer, and there after a kill."""

from pathlib import Path

import pytest
from faults.scenario import ask as select
from faults.strace_log import Answer, answers
from faults.test_faults_order import traced
from support.commitment import ask, associate, tell
from support.nodeproc import Node

pytestmark = pytest.mark.faults

ROUNDS = 2


def answered(trace: Path) -> list[Answer]:
    """The answers that strace has told of by now."""
    return answers(trace.read_text(encoding="utf-8", errors="replace").splitlines(), member=".event")


def test_every_answer_follows_a_data_sync_of_its_note(tmp_path: Path) -> None:
    with Node(tmp_path / "node", dicom={"commitment": True}) as node, traced(node, tmp_path / "trace"):
        modality, pacs = associate(node.dicom_port, "CT1"), associate(node.dicom_port, "PACS", reporting=True)
        for number in range(ROUNDS):
            assert ask(modality, ["1.2.3"], f"1.2.4.{number}") == 0
            assert tell(pacs, ["1.2.3"], [], f"1.2.5.{number}") == 0
        modality.release()
        pacs.release()
        node.wait_until(lambda: len(answered(tmp_path / "trace")) >= 2 * ROUNDS, 60.0, "strace to tell of every answer")
    found = answered(tmp_path / "trace")
    assert len(found) == 2 * ROUNDS
    assert all(answer.synced for answer in found)


def test_a_node_killed_right_behind_its_answers_has_kept_all_of_them(tmp_path: Path) -> None:
    """To whichever process they came, and whether or not the index had seen them."""
    asked: set[str] = set()
    told: set[str] = set()
    with Node(tmp_path / "node", dicom={"commitment": True, "processes": 2}) as node:
        for number in range(ROUNDS):
            modalities = [associate(node.dicom_port, f"CT{each}") for each in range(4)]
            systems = [associate(node.dicom_port, f"PACS{each}", reporting=True) for each in range(4)]
            for place, (modality, pacs) in enumerate(zip(modalities, systems, strict=True)):
                transaction = f"{number}.{place}"
                assert ask(modality, ["1.2.3"], f"1.2.4.{transaction}") == 0
                asked.add(f"1.2.4.{transaction}")
                assert tell(pacs, ["1.2.3"], ["1.2.9"], f"1.2.5.{transaction}") == 0
                told.add(f"1.2.5.{transaction}")
            node.kill9()
            for association in (*modalities, *systems):
                association.abort()
            node.start()
        rows = select(node, "SELECT transaction_uid FROM commitment_request")
        reports = select(node, "SELECT transaction_uid FROM commitment_report")
    assert sorted(uid for (uid,) in rows) == sorted(asked), "each request once"
    assert sorted(uid for (uid,) in reports) == sorted(told), "each report once"
