"""Text that no database holds, wherever strangers can put it: nothing stops, and what came behind it is indexed."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.data import get_testdata_file
from sqlalchemy import select
from support import wire
from support.databases import new_database
from support.flowbench import FlowBench
from support.rawfiles import sample
from support.receiving import Receiving, receiving
from support.rejections import SAFETY, rejection_of
from support.series import make_ct_series

from dicomnode.audit.events import record
from dicomnode.db.database import Database
from dicomnode.db.models import AuditEvent, Instance
from dicomnode.store.index import Indexer

pytestmark = pytest.mark.usefixtures("each_database")

ODD = "odd\0"
WHEN = "2026-05-01T10:00:00.000+00:00"
WHO = {"association": "a-1\0", "calling_aet": ODD, "called_aet": ODD, "peer": ODD}
MANIFEST = "113030"
VERIFICATION = "1.2.840.10008.1.1"

NOTES: dict[str, tuple[str, dict[str, Any]]] = {
    "association-opened": ("association.opened", {"tls": False}),
    "association-closed": (
        "association.closed",
        {"outcome": ODD, "reason": ODD, "received": 0, "received_bytes": 0, "refused": {ODD: 1}},
    ),
    "association-rejected": (
        "association.rejected",
        {"reason": ODD, "alert": "", "implementation": ODD, "contexts": 1,
         "offered": [{"sop_class_uid": ODD, "transfer_syntax_uids": [ODD]}]},
    ),
    "connection-dropped": ("connection.dropped", {"reason": ODD, "more_before": 0}),
    "instance-refused": (
        "instance.refused",
        {"status": "0117", "reason": ODD, "sop_class_uid": ODD, "sop_instance_uid": ODD, "transfer_syntax_uid": ODD},
    ),
    "service-refused": ("service.refused", {"service": ODD, "status": "0110", "reason": ODD}),
    "availability": (
        "availability.noted",
        {"sop_instance_uid": ODD, "study_uid": ODD, "available": [[ODD, ODD]], "unavailable": [[ODD, ODD]]},
    ),
    "commitment-request": ("commitment.requested", {"transaction_uid": ODD, "instances": [[ODD, ODD]]}),
    "commitment-report": (
        "commitment.heard",
        {"transaction_uid": ODD, "event_type": 2, "committed": [ODD], "failed": [[ODD, 0x0112]]},
    ),
}  # fmt: skip
"""What receivers note, of this version and of earlier ones, with every text as odd as can be, and what tells of it."""


def ct() -> Dataset:
    return dcmread(get_testdata_file("CT_small.dcm", download=False))


def kinds(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(AuditEvent.kind).order_by(AuditEvent.id)))


@pytest.mark.parametrize("note", NOTES)
def test_what_receivers_noted_is_taken_in(tmp_path: Path, note: str) -> None:
    kind, content = NOTES[note]
    bench = FlowBench(tmp_path / "node")
    bench.journal.note({"event": note, "at": WHEN, **WHO, **content})
    bench.receive(ct(), ODD)
    assert len(bench.instances()) == 1
    assert kind in kinds(bench.flow.database)
    assert "store.set_aside" not in kinds(bench.flow.database)


def rejected(node: Receiving) -> None:
    """By a peer that is on no list."""
    associate(node, "STRANGER", wire.Context(1, f"{VERIFICATION}\0junk", ("1.2.3\0004",)))


def nothing_accepted(node: Receiving) -> None:
    version = wire.item(0x55, b"VERSION\0\xff\x07")
    associate(node, "MODALITY", wire.Context(1, f"{VERIFICATION}\0junk", ("1.2.3\0004",)), more=version)


def refused_uid(node: Receiving) -> None:
    file = sample()
    with node.sender() as sender:
        assert sender.store(file.sop_class, b"1.2\0003", file.transfer_syntax, file.data_set) == 0x0117


@pytest.mark.parametrize("send", [rejected, nothing_accepted, refused_uid])
def test_what_strangers_send_stops_no_index(tmp_path: Path, send: Callable[[Receiving], None]) -> None:
    database, file = new_database(tmp_path), sample()
    with receiving(tmp_path / "store", allowed_calling_aets=["MODALITY"]) as node:
        send(node)
        with node.sender() as sender:
            assert sender.store(file.sop_class, file.sop_uid, file.transfer_syntax, file.data_set) == 0x0000
    noted = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*.tar"))
    assert rb"\u0000" not in noted, "what is noted is plain from the start"
    Indexer(tmp_path / "store", "n", database, lambda session, arrivals: None, lambda first, second: True).run()
    with database.read() as session:
        assert session.scalars(select(Instance.sop_uid)).all() == [file.sop_uid]
    assert "store.set_aside" not in kinds(database)


def associate(node: Receiving, calling: str, *contexts: wire.Context, more: bytes = b"") -> None:
    with socket.create_connection(("127.0.0.1", node.port), timeout=60) as peer:
        peer.sendall(wire.associate_rq(contexts, called="DICOMNODE", calling=calling, more_user_items=more))
        assert peer.recv(10)


@pytest.mark.parametrize("keyword", ["ReferencedSOPInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("title", [SAFETY, MANIFEST])
def test_a_document_that_names_what_is_no_uid_is_an_instance_like_others(
    tmp_path: Path, title: str, keyword: str
) -> None:
    files = make_ct_series(tmp_path / "ct", 1, rows=16)
    bench = FlowBench(tmp_path / "node")
    document = dcmread(rejection_of(files, tmp_path / "note.dcm", title))
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    put(series if keyword == "SeriesInstanceUID" else series.ReferencedSOPSequence[0], keyword, "UI", "1.2\0003")
    bench.receive(document, "QC")
    bench.receive_files(files)
    assert len(bench.instances()) == 2
    assert "store.set_aside" not in kinds(bench.flow.database)


def test_headers_are_taken_in_and_their_series_completes(tmp_path: Path) -> None:
    """In columns, in facts by the names of elements, and by the names of private creators."""
    bench, dataset = FlowBench(tmp_path / "node"), ct()
    texts = [each for each in dataset if each.VR in ("LO", "SH", "PN", "CS", "DA", "TM", "ST", "LT")]
    for element in texts:
        if element.keyword != "SpecificCharacterSet":  # pydicom writes no file with an odd one
            put(dataset, element.tag, str(element.VR), f"{element.value}\0odd\0")
    put(dataset, 0x00091001, "LO", ODD)
    put(dataset, 0x00090010, "LO", "CREATOR\0OF")
    bench.receive(dataset)
    assert bench.complete() == 1
    assert [(row.state, row.generation) for row in bench.series()] == [("complete", 1)]
    assert "store.set_aside" not in kinds(bench.flow.database)


def put(dataset: Dataset, tag: Any, vr: str, value: str) -> None:
    """As it comes out of a file, where nobody has looked at it."""
    dataset[tag] = DataElement(tag, vr, value, validation_mode=config.IGNORE)


@pytest.mark.parametrize("odd", ["a\0b", "a\ud800b", "a\udfff"])
def test_events_hold_any_text(database: Database, odd: str) -> None:
    texts = {"actor": odd, "study_uid": odd, "series_uid": odd, "subject": odd}
    with database.write() as session:
        record(session, "node.started", odd, node=odd, detail={odd: [odd, {"deeper": (odd, 1, None)}]}, **texts)
    with database.read() as session:
        (event,) = session.scalars(select(AuditEvent))
    plain = odd.replace("\0", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    assert (event.message, event.subject, event.actor) == (plain, plain, plain)
    assert event.detail == {plain: [plain, {"deeper": [plain, 1, None]}]}
