"""Answers on their way into the ledger: none is forgotten, whatever ends the process or keeps the database away."""

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from support.sendingbench import SendingBench

from dicomnode.db.repositories import deliveries
from dicomnode.db.repositories.deliveries import Answer, OpenItem
from dicomnode.deliver import answers as answers_module
from dicomnode.deliver.answers import Answers
from dicomnode.deliver.noted import append
from dicomnode.deliver.outcome import Outcome, Response, from_status, no_response

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


FIRST = OpenItem(1, "1.2.1.1.0", "1.2", "1.2", "made.tar", 0, 1, 0)
"""Of the bench's delivery."""


@pytest.fixture(autouse=True)
def _never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long this machine takes from one answer to the next, none waits for the transaction that a test holds."""
    monkeypatch.setattr(answers_module, "LATE_SECONDS", 600.0)


@pytest.fixture
def bench(tmp_path: Path) -> SendingBench:
    made = SendingBench(tmp_path)
    made.plan([FILE], copies=6)
    return made


def answers_of(bench: SendingBench, abort: threading.Event | None = None) -> Answers:
    made = Answers(bench.database, bench.root, "n", "pacs", abort or threading.Event())
    made.recover()
    return made


def open_items(bench: SendingBench) -> list[OpenItem]:
    with bench.database.read() as session:
        return list(deliveries.open_items(session, 1))


def test_every_kind_of_answer_as_the_ledger_tells_it(bench: SendingBench) -> None:
    answers = answers_of(bench)
    items = open_items(bench)
    for item, status in zip(items, (0x0000, 0xB000, 0xC000, 0xA700), strict=False):
        answers.note(item, from_status(status))
    answers.note(items[4], no_response("no response: silent"))
    answers.settle()
    rows = bench.items()
    assert [row.state for row in rows] == ["sent", "sent", "failed", "pending", "pending", "pending"]
    assert [row.status for row in rows] == [0x0000, 0xB000, 0xC000, 0xA700, None, None]
    assert [row.attempts for row in rows] == [1, 1, 1, 1, 1, 0]
    assert [row.sent_at is not None for row in rows] == [True, True, False, False, False, False]
    assert rows[4].detail == "no response: silent"


def test_an_answer_alone_is_in_the_ledger_soon(bench: SendingBench) -> None:
    answers = answers_of(bench)
    for number, item in enumerate(open_items(bench)[:3], start=1):
        answers.note(item, from_status(0))
        deadline = time.monotonic() + 60
        while [row.state for row in bench.items()].count("sent") < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_answers_close_together_share_a_transaction(bench: SendingBench) -> None:
    commits: list[object] = []
    event.listen(bench.database.engine, "commit", commits.append)
    answers = answers_of(bench)
    items = open_items(bench)
    before = len(commits)
    with answers._committing:
        for item in items:
            answers.note(item, from_status(0))
        assert {row.state for row in bench.items()} == {"pending"}
    answers.settle()
    assert {row.state for row in bench.items()} == {"sent"}
    assert len(commits) == before + 1


def test_what_a_kill_left_in_the_file_is_in_the_ledger_before_anything_is_sent(bench: SendingBench) -> None:
    killed = answers_of(bench)
    killed._committing.acquire()
    items = open_items(bench)
    killed.note(items[0], from_status(0))
    killed.note(items[1], from_status(0xC000))
    with next((bench.root / "answers" / "n").iterdir()).open("ab") as file:
        file.write(b'[4, "1.2')  # the disk was full
    assert {row.state for row in bench.items()} == {"pending"}
    answers_of(bench)
    assert [row.state for row in bench.items()[:3]] == ["sent", "failed", "pending"]
    assert [item.id for item in open_items(bench)] == [item.id for item in items[2:]]


def test_what_is_known_already_is_not_changed_by_the_file(bench: SendingBench) -> None:
    """The kill came between the transaction and the end of the file; since then an operator has asked for more."""
    killed = answers_of(bench)
    killed._committing.acquire()
    item = open_items(bench)[0]
    killed.note(item, from_status(0))
    with bench.database.write() as session:
        deliveries.record_answers(session, [Answer(item.id, item.sop_uid, "sent", 0xB000, "earlier", 3)])
    answers_of(bench)
    row = bench.items()[0]
    assert (row.status, row.detail, row.attempts) == (0xB000, "earlier", 3)


def test_a_retry_is_not_undone_by_what_the_file_still_holds(bench: SendingBench) -> None:
    killed = answers_of(bench)
    killed._committing.acquire()
    item = open_items(bench)[0]
    others = open_items(bench)[1:]
    killed.note(item, from_status(0xC000))
    with bench.database.write() as session:
        deliveries.record_answers(session, killed._waiting)
    killed.note(others[0], from_status(0))
    with bench.database.write() as session:
        deliveries.reopen_failed(session, 1)
    answers_of(bench)
    assert [row.state for row in bench.items()[:2]] == ["pending", "sent"]


def test_the_file_of_another_database_is_not_believed(bench: SendingBench) -> None:
    killed = answers_of(bench)
    killed._committing.acquire()
    killed.note(open_items(bench)[0]._replace(sop_uid="9.9.9"), from_status(0))
    answers_of(bench)
    assert {row.state for row in bench.items()} == {"pending"}


def test_a_database_that_is_away_is_waited_for(bench: SendingBench) -> None:
    answers = answers_of(bench)
    item = open_items(bench)[0]
    blocker = sqlite3.connect(bench.database.engine.url.database or "", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    answers.note(item, from_status(0))
    settling = threading.Thread(target=answers.settle)
    settling.start()
    time.sleep(0.3)
    assert settling.is_alive()
    blocker.execute("ROLLBACK")
    settling.join(60)
    assert not settling.is_alive()
    assert bench.items()[0].state == "sent"
    blocker.close()


def test_sending_stops_while_the_database_is_away_for_long(
    bench: SendingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut may send again is bounded, however long the database is away."""
    monkeypatch.setattr(answers_module, "LATE_SECONDS", 0.2)
    answers = answers_of(bench)
    blocker = sqlite3.connect(bench.database.engine.url.database or "", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    def note_all() -> None:
        for item in open_items(bench)[:3]:
            answers.note(item, from_status(0))
            time.sleep(1.1 * answers_module.LATE_SECONDS)

    noting = threading.Thread(target=note_all)
    noting.start()
    deadline = time.monotonic() + 60
    while len(answers._waiting) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(3 * answers_module.LATE_SECONDS)
    assert len(answers._waiting) == 2
    blocker.execute("ROLLBACK")
    noting.join(60)
    assert not noting.is_alive()
    answers.settle()
    assert [row.state for row in bench.items()].count("sent") == 3
    blocker.close()


def test_waiting_ends_when_the_node_aborts_and_the_file_keeps_the_answer(bench: SendingBench) -> None:
    abort = threading.Event()
    answers = answers_of(bench, abort)
    abort.set()
    with bench.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE delivery_item RENAME TO elsewhere")
    answers.note(FIRST, from_status(0))
    with pytest.raises(OperationalError):
        answers.settle()
    with bench.database.write() as session:
        session.connection().exec_driver_sql("ALTER TABLE elsewhere RENAME TO delivery_item")
    answers.close()
    answers_of(bench)
    assert bench.items()[0].state == "sent"


def test_a_full_disk_leaves_the_database() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    try:
        assert not append(descriptor, Answer(1, "1.2", "sent", 0, "", 1))
    finally:
        os.close(descriptor)


def test_a_file_that_has_grown_is_emptied(bench: SendingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "LONGEST_FILE", 100)
    answers = answers_of(bench)
    file = next((bench.root / "answers" / "n").iterdir())
    for item in open_items(bench):
        answers.note(item, Response(Outcome.STORED, 0, "stored"))
        assert file.stat().st_size < 200
    answers.settle()
    assert file.stat().st_size == 0
