"""Malformed objects between good ones: each gets its status and its audit row, and nothing else takes notice."""

import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from faults.malformed import MUTATIONS, Request, mutations, pydicom_files
from faults.scenario import (
    ask,
    assert_indexed,
    backlog,
    indexed,
    instances,
    peak_resident_bytes,
    send,
    send_all,
    sender_to,
    site,
)
from support.matrix import RecordRow
from support.nodeproc import Node
from support.rawfiles import RawFile
from support.rawsend import RawSender
from support.series import make_ct_series

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

EXPECTED = tomllib.loads((Path(__file__).parent / "expected_statuses.toml").read_text(encoding="utf-8"))
GOOD = 8
LONGEST_SECONDS = 5.0
"""Of the processor, in the processes that receive: whatever else the machine has to do."""
MOST_GROWTH = 256 << 20
Answers = dict[str, str]
"""Status by the request's name."""


def processor_seconds(pids: Iterable[int]) -> float:
    """What processes have taken of the processor so far (proc(5), stat)."""
    stats = [Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split() for pid in pids]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")


def answer(sender: RawSender, request: Request, pids: Iterable[int]) -> str:
    """Send one malformed object; an answer has to come, and at little cost."""
    begin = processor_seconds(pids)
    status = sender.store(
        request.sop_class,
        request.sop_uid,
        request.transfer_syntax,
        request.data_set,
        context_sop_class=request.context_sop_class,
    )
    assert processor_seconds(pids) - begin < LONGEST_SECONDS, request.name
    return f"{status:04X}"


def send_between(node: Node, requests: list[Request], good: list[RawFile]) -> Answers:
    """All the malformed ones, with the instances of a good series spread among them."""
    answers: Answers = {}
    every = len(requests) // len(good)
    rest, pids = list(good), node.receivers()
    with sender_to(node, "BROKEN", 60.0) as sender, sender_to(node, "MODALITY", 60.0) as modality:
        for number, request in enumerate(requests):
            if rest and number % every == 0:
                assert send(modality, rest.pop(0)) == 0x0000
            answers[request.name] = answer(sender, request, pids)
    assert not rest
    return answers


def refusals(node: Node) -> Counter[tuple[str, str]]:
    """(SOP Instance UID, status) of each audit event that tells of a refused instance."""
    details = [json.loads(detail) for (detail,) in
               ask(node, "SELECT detail FROM audit_event WHERE kind = 'instance.refused'")]  # fmt: skip
    return Counter((detail["sop_instance_uid"], detail["status"]) for detail in details)


def assert_audited(node: Node, requests: list[Request], answers: Answers) -> None:
    wanted = Counter((r.sop_uid[:64], answers[r.name]) for r in requests if answers[r.name] != "0000")
    node.wait_until(lambda: refusals(node).total() >= wanted.total(), 60.0, "an audit event for each refusal")
    assert refusals(node) == wanted
    refused = {request.sop_uid for request in requests if answers[request.name] != "0000"}
    stored = {request.sop_uid for request in requests if answers[request.name] == "0000"}
    assert {uid for (uid,) in ask(node, "SELECT sop_uid FROM instance")} & (refused - stored) == set()


def assert_everything_ends(node: Node, good: list[RawFile]) -> None:
    """Every series completes, strange ones too; every job ends; the good series is derived whole."""
    query = "SELECT uid FROM series WHERE state != 'complete'"
    node.wait_until(lambda: not ask(node, query), 60.0, "every series to complete")
    query = "SELECT id FROM enhancement WHERE state IN ('ready', 'running')"
    node.wait_until(lambda: not ask(node, query), 240.0, "every job to end")
    rows = ask(node, "SELECT id, state, reason FROM enhancement WHERE series_uid = ?", good[0].series_uid)
    assert [(state, reason) for _, state, reason in rows] == [("done", f"{GOOD} derived instances")]
    outputs = {uid for (uid,) in ask(node, "SELECT source_sop_uid FROM output WHERE enhancement_id = ?", rows[0][0])}
    assert outputs == {file.sop_uid for file in good}
    unexplained = ask(node, "SELECT id FROM enhancement WHERE state NOT IN ('done', 'outdated') AND reason = ''")
    assert unexplained == []


def test_malformed_objects_between_good_ones(tmp_path: Path, record_row: RecordRow) -> None:
    images = [
        instances(make_ct_series(tmp_path / f"base{number}", 1, rows=16, seed=500, series_number=100 + number))[0]
        for number in range(MUTATIONS)
    ]
    requests = [*pydicom_files(), *mutations(images)]
    good = instances(make_ct_series(tmp_path / "good", GOOD, rows=64, seed=9, images_in_acquisition=True))
    expected = {name: row[0] for section in EXPECTED.values() for name, row in section.items()}
    assert len(requests) > 200
    assert expected.keys() <= {request.name for request in requests}
    completion = {"quiet_seconds": 1.0, "per_sender": {"MODALITY": 600.0}}
    engine = {"devices": ["cpu"], "retry_seconds": 0.1}
    node = Node(tmp_path / "node", site_yaml=site(1), completion=completion, engine=engine)
    with node:
        pids = {node.pid, *node.receivers()}
        before = {pid: peak_resident_bytes(pid) for pid in pids}
        answers = send_between(node, requests, good)
        assert {name: status for name, status in answers.items() if status != "0000"} == expected
        grown = max(peak_resident_bytes(pid) - peak for pid, peak in before.items())
        assert grown < MOST_GROWTH, f"{grown >> 20} MiB"
        assert_audited(node, requests, answers)
        node.wait_until(lambda: backlog(node) == 0, 60.0, "the index to have read it all")
        assert_indexed(node, [file.sop_uid for file in good], good)
        assert_everything_ends(node, good)
        assert {node.pid, *node.receivers()} == pids
        assert node.cli("audit", "verify")["ok"]
    refused = sum(status != "0000" for status in answers.values())
    seen = f"{refused} refused and audited, the rest stored as they came; memory + {grown >> 20} MiB"
    record_row(17, f"{len(requests)} malformed objects", node=seen)


def test_a_header_that_rots_on_the_disk_holds_nobody_up(tmp_path: Path) -> None:
    """Both series complete; the damaged one stays without a derived series, and its job says why."""
    rotten, good = (
        instances(make_ct_series(tmp_path / f"ct{seed}", 2, rows=16, seed=seed)) for seed in (1, 2)
    )  # fmt: skip
    completion = {"quiet_seconds": 600.0}  # an operator says when: after the disk has rotted
    node = Node(tmp_path / "node", site_yaml=site(1), completion=completion, engine={"retry_seconds": 0.1})
    with node:
        send_all(node, [*rotten, *good])
        node.wait_until(lambda: len(indexed(node)) == 4, 60.0, "the index to have them")
        query = 'SELECT container, "offset", length FROM instance WHERE sop_uid = ?'
        ((container, offset, length),) = ask(node, query, rotten[0].sop_uid)
        with (node.root / "var/store" / container).open("r+b") as file:
            file.seek(offset + length - len(rotten[0].data_set) + 6)
            file.write(b"\xff\xff")  # the length of the first element
        for one in (rotten[0], good[0]):
            node.cli("series", "complete", one.series_uid)
        node.wait_until(lambda: not ask(node, "SELECT uid FROM series WHERE state != 'complete'"), 60.0, "completion")
        query = "SELECT state, reason FROM enhancement WHERE series_uid = ?"
        node.wait_until(
            lambda: ask(node, query, good[0].series_uid) == [("done", "2 derived instances")], 180.0, "the good series"
        )
        node.wait_until(lambda: not ask(node, query + " AND state IN ('ready', 'running')", rotten[0].series_uid), 60.0,
                        "the damaged series' job to end")  # fmt: skip
        ((state, reason),) = ask(node, query, rotten[0].series_uid)
        assert state == "failed"
        assert "cannot be read" in reason or "ends inside" in reason
