"""Several nodes look after the same requests: each is judged once, and told once, whoever does it."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update
from support.asking import AskingModality
from support.series import make_ct_series
from support.vouching import CT, VouchingBench

from dicomnode.db.database import now as database_now
from dicomnode.db.models import AuditEvent, CommitmentRequest
from dicomnode.db.repositories import commitment_requests
from dicomnode.deliver.destination import Timeouts
from dicomnode.flow import Flow
from dicomnode.flow.commitment import reporting
from dicomnode.flow.commitment.telling import vouch_due
from dicomnode.settings import DicomSettings, NodeSettings, PeerSettings

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("each_database")]

REQUESTS = 8


def node(bench: VouchingBench, name: str, port: int) -> Flow:
    """One more node on the same database and store."""
    dicom = DicomSettings(peers={"CT1": PeerSettings(report_to=f"127.0.0.1:{port}")})
    settings = bench.flow.settings.model_copy(update={"node": NodeSettings(name=name), "dicom": dicom})
    return replace(bench.flow, settings=settings)


def events(bench: VouchingBench) -> Counter[str]:
    with bench.flow.database.read() as session:
        kinds = session.scalars(select(AuditEvent.kind).where(AuditEvent.kind.like("commitment.%")))
        return Counter(kinds)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VouchingBench:
    monkeypatch.setattr(reporting, "TIMEOUTS", Timeouts(connect=60.0, acse=60.0, dimse=60.0))
    bench = VouchingBench(tmp_path / "node")
    bench.again([dcmread(file) for file in make_ct_series(tmp_path / "ct", 2, rows=32)])
    return bench


def test_three_nodes_answer_each_request_once(bench: VouchingBench) -> None:
    uids = [row.sop_uid for row in bench.instances()]
    for number in range(REQUESTS):
        bench.ask(*uids, transaction_uid=f"1.2.{number}")
    with AskingModality("CT1") as modality:
        nodes = [node(bench, name, modality.port) for name in ("left", "middle", "right")]
        with ThreadPoolExecutor(len(nodes)) as pool:
            for _ in range(4):
                list(pool.map(vouch_due, nodes))
        told = Counter(each.transaction_uid for each in modality.told)
        assert told == {f"1.2.{number}": 1 for number in range(REQUESTS)}
        assert all(each.committed == {(CT, uid) for uid in uids} for each in modality.told)
    assert events(bench) == {"commitment.judged": REQUESTS, "commitment.reported": REQUESTS}


def test_what_a_dead_node_had_in_hand_another_takes_when_its_claim_lapses(bench: VouchingBench) -> None:
    bench.ask(*(row.sop_uid for row in bench.instances()))
    with AskingModality("CT1") as modality:
        living = node(bench, "living", modality.port)
        with bench.flow.database.write() as session:
            assert commitment_requests.claim(session, 1, "dead", 60)
        assert not vouch_due(living)
        with bench.flow.database.write() as session:
            lapsed = database_now(session) - timedelta(seconds=1)
            session.execute(update(CommitmentRequest).values(due_at=lapsed))
        assert vouch_due(living)
        assert vouch_due(living)
        (told,) = modality.told
        assert told.event_type == 1
