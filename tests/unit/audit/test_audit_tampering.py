"""Whatever somebody does to the log in the database is found, and the first position that does not hold is named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.matrix import RecordRow
from support.tampering import EDITS, Intruder, anchor, snapshot, write_events

from dicomnode.audit import chain
from dicomnode.audit.verification import verify
from dicomnode.db.database import Database

pytestmark = pytest.mark.faults
LENGTH = 40

EXACT: dict[str, tuple[Callable[[Intruder], None], int]] = {
    **{f"{column} edited": (lambda i, column=column: i.edits(9, column), 9) for column in EDITS},
    "a hash edited": (lambda i: i.does("UPDATE audit_chain SET hash = 'x' || substr(hash, 2) WHERE seq = 5"), 5),
    "the first event edited": (lambda i: i.edits(1), 1),
    "the last event edited": (lambda i: i.edits(LENGTH), LENGTH),
    "an event deleted": (lambda i: i.deletes_event(17), 17),
    "a link deleted": (lambda i: i.deletes_link(17), 17),
    "an event and its link deleted": (lambda i: i.deletes_both(17), 17),
    "the same, and the gap closed": (lambda i: i.closes_the_gap(17), 17),
    "the first of them deleted": (lambda i: i.deletes_both(1), 1),
    "two events swapped": (lambda i: i.swaps_events(12, 30), 12),
    "neighbours swapped": (lambda i: i.swaps_events(12, 13), 12),
    "two links swapped": (lambda i: i.swaps_links(11, 25), 11),
    "an event put in, with some hash": (lambda i: i.inserts(20, 500, rightly_hashed=False), 20),
    "an event put in, with its right hash": (lambda i: i.inserts(20, 500, rightly_hashed=True), 20),
    "two put in, with their right hashes": (
        lambda i: (i.inserts(20, 500, rightly_hashed=True), i.inserts(21, 501, rightly_hashed=True))[0],
        20,
    ),
    "one put in before the first, with its right hash": (lambda i: i.inserts(1, 500, rightly_hashed=True), 1),
    "a link put in before the first": (
        lambda i: i.does("INSERT INTO audit_chain (seq, event_id, hash) VALUES (0, 99, 'x')"),
        1,
    ),
}
"""What the chain alone shows, to the row."""

ANCHORED: dict[str, tuple[Callable[[Intruder], None], int, int, int]] = {
    "the tail cut": (lambda i: i.cuts_after(33), 34, 31, 34),
    "the tail cut between two anchors": (lambda i: i.cuts_after(25), 26, 21, 26),
    "all of it gone": (lambda i: i.cuts_after(0), 1, 1, 1),
    "cut, and grown again": (lambda i: (i.cuts_after(25), write_events(i.database, 20, 26), i.edits(26),
                                        i.seals_anew_from(26))[0], 26, 21, 30),
    "an event edited, all behind it sealed anew": (lambda i: (i.edits(24), i.seals_anew_from(24))[0], 24, 21, 30),
    "the event of an anchor edited": (lambda i: (i.edits(30), i.seals_anew_from(30))[0], 30, 21, 30),
    "the first event edited, all sealed anew": (lambda i: (i.edits(1), i.seals_anew_from(1))[0], 1, 1, 1),
    "an event deleted, all sealed anew": (lambda i: (i.closes_the_gap(5), i.seals_anew_from(5))[0], 5, 1, 10),
    "events swapped, all sealed anew": (lambda i: (i.swaps_events(12, 18), i.seals_anew_from(12))[0], 12, 11, 20),
    "an event put in, all sealed anew": (lambda i: (i.inserts(36, 500, rightly_hashed=True),
                                                    i.seals_anew_from(36))[0], 36, 31, 40),
    "another log in its place": (lambda i: (i.cuts_after(0), write_events(i.database, LENGTH, 100))[0], 1, 1, 1),
    "an event put in later, without a link": (lambda i: i.adds_event(0, 5), LENGTH + 1, LENGTH + 1, LENGTH + 1),
}  # fmt: skip
"""What needs anchors; they stand at 10, 20, 30 and 40, ten minutes apart. Where it is, and what may be named for it."""


def backend(database: Database) -> str:
    return "SQLite" if database.is_sqlite else "PostgreSQL"


def test_what_the_chain_shows_by_itself(database: Database, record_row: RecordRow) -> None:
    write_events(database, LENGTH)
    restore = snapshot(database)
    for name, (tamper, first_bad) in EXACT.items():
        tamper(Intruder(database))
        found = verify(database)
        assert (found.ok, found.first_bad, found.until) == (False, first_bad, first_bad), f"{name}: {found.reason}"
        restore()
        assert verify(database).ok, f"before {name}"
    record_row(25, f"{len(EXACT)} kinds of tampering, {backend(database)}", node="each named to the row by the chain")


def test_what_anchors_show(database: Database, tmp_path: Path, record_row: RecordRow) -> None:
    write_events(database, LENGTH)
    anchor(database, tmp_path, 10, 20, 30, 40)
    restore = snapshot(database)
    for name, (tamper, where, first, until) in ANCHORED.items():
        tamper(Intruder(database))
        found = verify(database, tmp_path)
        assert not found.ok, name
        assert first <= (found.first_bad or 0) <= where <= (found.until or 0) <= until, f"{name}: {found.reason}"
        restore()
        assert verify(database, tmp_path).ok, f"before {name}"
    rounds = f"{len(ANCHORED)} that need anchors, {backend(database)}"
    record_row(25, rounds, node="each found, in a range between two anchors that holds the row")


def test_an_event_numbered_far_ahead_stops_no_seal_and_is_named(database: Database) -> None:
    """PostgreSQL goes on with its own numbers behind it, and what had no seal could be changed unseen."""
    write_events(database, 5)
    Intruder(database).adds_event(1 << 50, 6)
    chain.seal(database)
    write_events(database, 3, 7)
    assert chain.waiting(database) == (0, None)
    found = verify(database)
    assert (found.ok, found.first_bad, found.until) == (False, 6, 6)
    assert "put in" in found.reason


def test_what_was_long_without_a_seal_is_told_of(database: Database) -> None:
    """Whoever changed it before its seal left no trace: that is to be known, and is no proof."""
    write_events(database, 5)
    Intruder(database).adds_event(6, 6)
    found = verify(database)
    assert (found.ok, found.sealed) == (True, 1)
    assert "1 events, the oldest of 2026-03-01T08:06:00+00:00, had no seal until now" in found.anchors.warnings[-1]
    assert not any("no seal" in each for each in verify(database).anchors.warnings)


def test_an_event_that_was_taken_out_before_its_seal_leaves_a_gap(database: Database) -> None:
    """Where one writer numbers them; with PostgreSQL an honest transaction that failed leaves the same."""
    write_events(database, 5)
    for number in (6, 7, 8, 9):
        Intruder(database).adds_event(number, number)
    for number in (6, 8):
        Intruder(database).deletes_event(number)
    found = verify(database)
    gaps = [each for each in found.anchors.warnings if "never had a seal" in each]
    assert found.ok
    assert [each.split()[1] for each in gaps] == (["6", "8"] if database.is_sqlite else [])


def test_without_anchors_a_cut_tail_goes_unseen_and_the_report_says_so(database: Database, tmp_path: Path) -> None:
    write_events(database, LENGTH)
    Intruder(database).cuts_after(33)
    found = verify(database, tmp_path)
    assert found.ok
    assert "nobody would notice" in found.anchors.warnings[0]


def test_an_event_of_a_transaction_that_was_open_for_a_while_is_no_tampering(
    database: Database, tmp_path: Path
) -> None:
    """Numbers are drawn at the insert, and only PostgreSQL has several writers: an older one may be sealed later."""
    write_events(database, 10)
    Intruder(database).adds_event(500, 11)
    assert chain.seal(database) == 1
    anchor(database, tmp_path, 11)
    Intruder(database).adds_event(400, 12)
    found = verify(database, tmp_path)
    assert (found.ok, found.first_bad, found.until) == ((False, 11, 12) if database.is_sqlite else (True, None, None))
