"""Anchor files: what the sealer writes, what survives, and what is said of files that were tampered with."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.databases import sqlite
from support.matrix import RecordRow
from support.tampering import Intruder, anchor, write_events

from dicomnode.audit.anchors import AnchorFile, AnchorReader, parse
from dicomnode.audit.events import record
from dicomnode.audit.sealer import Sealer
from dicomnode.audit.verification import verify
from dicomnode.db.database import Database
from dicomnode.db.models import NodeRow
from dicomnode.db.repositories import audit as audit_rows

pytestmark = pytest.mark.faults
NOW = datetime(2026, 5, 5, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return sqlite(tmp_path / "audit.db")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "anchors"


def note(database: Database, message: str = "more") -> None:
    with database.write() as session:
        record(session, "node.started", message, node="n")


def test_the_sealer_notes_the_end_whenever_the_chain_has_grown(database: Database, folder: Path) -> None:
    file = AnchorFile(folder, "n")
    sealer = Sealer(database, "n", file, anchor_seconds=3600)
    note(database)
    sealer.turn()
    assert [each.seq for each in AnchorReader(file.path)] == [1]
    note(database)
    sealer.turn()
    sealer.turn()
    assert [each.seq for each in AnchorReader(file.path)] == [1], "sealed, but an hour has not gone by"
    sealer.finish()
    sealer.finish()
    assert [(each.line, each.seq) for each in AnchorReader(file.path)] == [(1, 1), (2, 2)]
    found = verify(database, folder)
    assert found.ok
    assert (found.anchors.files, found.anchors.lines, found.anchors.agreed) == (1, 2, 2)
    assert found.anchors.warnings == ()


def test_without_a_folder_nothing_is_written(database: Database, tmp_path: Path) -> None:
    note(database)
    before = sorted(tmp_path.iterdir())
    Sealer(database, "n", None, anchor_seconds=0.001).turn()
    assert sorted(tmp_path.iterdir()) == before


def test_a_disk_that_refuses_does_not_keep_events_from_being_sealed(database: Database, folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    note(database)
    Sealer(database, "n", AnchorFile(folder, "n"), anchor_seconds=0.001).turn()
    assert verify(database).checked == 1


def test_a_chain_that_its_anchor_contradicts_is_told_once(database: Database, folder: Path) -> None:
    write_events(database, 10)
    sealer = Sealer(database, "n", AnchorFile(folder, "n"), anchor_seconds=3600)
    sealer.finish()
    Intruder(database).cuts_after(7)
    sealer.finish()
    sealer.finish()
    with database.read() as session:
        (event,) = audit_rows.listing(session, limit=9, kind="audit.contradicted")
    assert (event.outcome, event.detail["seq"]) == ("failure", 10)
    assert verify(database, folder).first_bad is not None, "what was noted before still stands in the file"


@pytest.mark.parametrize("cut", [False, True])
def test_what_was_changed_since_the_last_anchor_is_seen_by_a_node_that_runs(
    database: Database, folder: Path, cut: bool, record_row: RecordRow
) -> None:
    """Between two anchors lies a minute, in which nobody else knows how the chain was: the node remembers it."""
    write_events(database, 10)
    sealer = Sealer(database, "n", AnchorFile(folder, "n"), anchor_seconds=3600)
    sealer.turn()
    write_events(database, 10, 11)
    sealer.turn()
    intruder = Intruder(database)
    if cut:
        intruder.cuts_after(14)
    else:
        intruder.edits(15)
        intruder.seals_anew_from(15)
    assert verify(database, folder).ok, "the anchor of link 10 agrees"
    sealer.turn()
    sealer.turn()
    with database.read() as session:
        (event,) = audit_rows.listing(session, limit=9, kind="audit.contradicted")
    assert (event.outcome, event.detail["seq"]) == ("failure", 20)
    write_events(database, 10, 50)
    found = verify(database, folder)
    assert not found.ok
    assert 11 <= (found.first_bad or 0) <= 15 <= (found.until or 0) <= 20
    how = "cut" if cut else "edited and sealed anew"
    record_row(25, f"{how} behind the last anchor, the node running", node="told at its next turn, kept as an anchor")


def test_without_anchors_a_node_that_runs_tells_all_the_same(database: Database) -> None:
    sealer = Sealer(database, "n", None, anchor_seconds=3600)
    write_events(database, 10)
    sealer.turn()
    Intruder(database).cuts_after(7)
    sealer.turn()
    with database.read() as session:
        assert len(audit_rows.listing(session, limit=9, kind="audit.contradicted")) == 1


def test_half_a_line_of_a_power_cut_costs_nothing_else(database: Database, folder: Path) -> None:
    file = AnchorFile(folder, "n")
    write_events(database, 5)
    anchor(database, folder, 2, 4)
    with file.path.open("ab") as raw:
        raw.write(b'{"line":3,"log":"ab')
    anchor(database, folder, 5)
    assert [each.seq for each in AnchorReader(file.path)] == [2, 4, 5]
    found = verify(database, folder)
    assert (found.ok, found.anchors.agreed) == (True, 5)
    assert found.anchors.warnings == ("n.anchors: line 3 cannot be read",)


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{}\n", b"[1]\n", b"\xff\n", b"null\n", b"7\n",
     b'{"line":1,"log":"a","seq":"2","hash":"b","event":1,"at":"2026-01-01T00:00:00+00:00","node":"n"}\n',
     b'{"line":1,"log":"a","seq":2,"hash":"b","event":1,"at":"2026-01-01T00:00:00","node":"n"}\n',
     b'{"line":1,"log":"a","seq":2,"hash":"b","event":1,"at":"yesterday","node":"n"}\n'],
)  # fmt: skip
def test_what_is_no_anchor_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)


def test_lines_that_were_taken_out_show(database: Database, folder: Path) -> None:
    write_events(database, 9)
    anchor(database, folder, 2, 4, 6, 8, 9)
    path = AnchorFile(folder, "n").path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[3:]))
    found = verify(database, folder)
    assert found.ok
    assert found.anchors.warnings == ("n.anchors: anchor 4 follows anchor 1: lines were taken out",)


def test_an_anchor_file_that_ends_too_early_shows(database: Database, folder: Path) -> None:
    write_events(database, 9)  # long ago, by their time
    anchor(database, folder, 2, 4)
    assert "nothing behind link 4 is anchored" in verify(database, folder).anchors.warnings[0]


def test_a_node_whose_file_is_gone_is_named(database: Database, folder: Path) -> None:
    write_events(database, 9)
    anchor(database, folder, 9, node="a")
    with database.write() as session:
        for name in ("a", "b"):
            session.add(NodeRow(name=name, boot="x", version="1", started_at=NOW, seen_at=NOW))
    found = verify(database, folder)
    assert found.ok
    assert found.anchors.warnings == ("node b has no anchor file: it was removed, or never written",)


def test_anchors_of_another_log_are_said_to_be(database: Database, folder: Path, tmp_path: Path) -> None:
    other = sqlite(tmp_path / "other.db")
    write_events(other, 5, 50)
    anchor(other, folder, 3)
    write_events(database, 5)
    found = verify(database, folder)
    assert (found.ok, found.first_bad) == (False, 1)
    assert "another log" in found.reason


def test_what_is_anchored_during_a_verification_is_not_missed_in_the_chain(database: Database, folder: Path) -> None:
    write_events(database, 4)
    anchor(database, folder, 4)
    reader = AnchorReader(AnchorFile(folder, "n").path)
    AnchorFile(folder, "n").append("x", 99, "y", 99, NOW + timedelta(days=1))
    assert [each.seq for each in reader] == [4]
