"""The same study from twenty senders, five times each, and the same UIDs with other pixels: counted, kept, told."""

import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from faults.scenario import ask, backlog, indexed, site
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.modality import Modality
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.rawfiles import RawFile
from support.targets import NodeTarget, a_node

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SERIES = 15


def send(node: NodeTarget, calling: str, instances: list[RawFile]) -> Counter[int]:
    """Over one association; the statuses."""
    with Modality(node.port, node.ae_title, calling, timeout=60.0) as modality:
        return Counter(modality.store(instance) for instance in instances)


def outcomes(node: Node) -> dict[str, float]:
    """What the index made of what it read, as the node counts it."""
    text = httpx.get(f"{node.url}/metrics", timeout=30.0, trust_env=False).text
    lines = re.findall(r'^dicomnode_indexed_total\{outcome="(\w+)"\} (\S+)', text, re.MULTILINE)
    return {outcome: float(count) for outcome, count in lines}


def assert_told(node: Node, conflicting: list[RawFile]) -> None:
    """The first bytes are kept, the others set aside, each with one row in the audit log."""
    rows = ask(node, "SELECT subject, outcome, detail FROM audit_event WHERE kind = 'instance.conflict'")
    assert Counter(subject for subject, _, _ in rows) == Counter(f"instance:{file.sop_uid}" for file in conflicting)
    assert {outcome for _, outcome, _ in rows} == {"warning"}
    versions = dict(ask(node, "SELECT sop_uid, sha256 FROM instance_version WHERE kind = 'conflict'"))
    assert versions == {file.sop_uid: file.receipt().sha256 for file in conflicting}
    assert {json.loads(detail)["sha256"] for _, _, detail in rows} == set(versions.values())


@pytest.mark.parametrize("form", forms(15))
def test_the_same_study_again_and_again(form: Form, tmp_path: Path, record_row: RecordRow) -> None:
    template = ct_template(64)
    files = list(template.series(SERIES, form["instances"]))
    others = [template.instance(SERIES, number, pixels=7) for number in range(1, form["instances"] + 1)][::2]
    senders, times = form["senders"], form["times"]
    with a_node(tmp_path / "node", completion={"quiet_seconds": 600.0}) as target:
        node = target.node
        with ThreadPoolExecutor(senders) as pool:
            found = list(pool.map(lambda number: send(target, f"SENDER{number}", files * times), range(senders)))
        assert sum(found, Counter()) == {0x0000: senders * times * len(files)}
        node.wait_until(lambda: backlog(node) == 0, 60.0, "the index to have read it all")
        with ThreadPoolExecutor(senders) as pool:  # the same other pixels from three senders: one conflict for each UID
            found = list(pool.map(lambda number: send(target, f"OTHER{number}", others), range(3)))
        assert sum(found, Counter()) == {0x0000: 3 * len(others)}
        node.wait_until(lambda: backlog(node) == 0, 60.0, "the index to have read that too")
        assert indexed(node) == {file.sop_uid for file in files}
        kept = dict(ask(node, "SELECT sop_uid, sha256 FROM instance"))
        assert kept == {file.sop_uid: file.receipt().sha256 for file in files}
        assert_told(node, others)
        counted = outcomes(node)
        repeats = (senders * times - 1) * len(files) + 2 * len(others)
        assert (counted["new"], counted["conflict"], counted["duplicate"]) == (len(files), len(others), repeats)
        node.cli("series", "complete", files[0].series_uid)
        node.wait_until(lambda: ask(node, "SELECT DISTINCT state FROM series") == [("complete",)], 60.0, "completion")
        assert ask(node, "SELECT count(*) FROM series") == [(1,)]
        assert node.cli("audit", "verify")["ok"]
    record_row(
        form, node=f"{len(files)} kept, {repeats} repeats counted, {len(others)} conflicts set aside and audited"
    )


@pytest.mark.peers
def test_the_pacs_gets_each_of_them_once(tmp_path: Path, orthanc: Orthanc) -> None:
    """Originals and what is derived of them; and of other pixels under a known UID, nothing at all."""
    template = ct_template(64)
    files = list(template.series(SERIES + 1, 5))
    others = [template.instance(SERIES + 1, number, pixels=7) for number in (1, 2)]
    with (
        RecordingProxy(orthanc.dicom_port) as proxy,
        a_node(
            tmp_path / "node",
            site_yaml=site(proxy.port, forward=True),
            completion={"quiet_seconds": 2.0},
            engine={"devices": ["cpu"]},
        ) as target,
    ):
        node = target.node
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda number: send(target, f"SENDER{number}", files * 3), range(6)))
        node.wait_until(lambda: orthanc.instance_count() == 2 * len(files), 180.0, "originals and derived at the PACS")
        send(target, "OTHER", others)
        for number in range(2):
            send(target, f"SENDER{number}", files)
        node.wait_until(lambda: backlog(node) == 0, 60.0, "the index to have read that too")
        node.wait_until(
            lambda: ask(node, "SELECT count(*) FROM delivery WHERE finished_at IS NULL") == [(0,)], 60.0, "all sent"
        )
        assert orthanc.instance_count() == 2 * len(files)
        assert len(proxy.stores) == len({store.sop_instance_uid for store in proxy.stores}) == 2 * len(files)
        proxy.assert_no_violations()
        for file in files:
            (store,) = proxy.of(file.sop_uid)
            assert store.status == 0x0000
        assert_told(node, others)
