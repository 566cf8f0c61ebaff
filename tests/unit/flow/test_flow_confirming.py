"""Asking a PACS whether it keeps what it took: its word, in every way it may come, and what the ledger makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from support.archive import Archive
from support.confirming import ConfirmingBench, sent, uids
from support.databases import new_database
from support.series import make_ct_series

from dicomnode.db.database import Database


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Database]:
    """SQLite alone: for what is asked and answered; what depends on the database has `database`."""
    database = new_database(tmp_path / "database")
    yield database
    database.close()


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_report_on_the_association_of_the_request_commits(how: str, tmp_path: Path, database: Database) -> None:
    with Archive(report=how) as archive:
        bench, sent_uids = sent(archive, tmp_path, database)
        assert bench.confirm()
        assert bench.state() == "committed"
    (asked,) = archive.asked
    assert asked.sop_uids == sent_uids
    (transaction,) = bench.transactions()
    assert (transaction.transaction_uid, transaction.state) == (asked.transaction_uid, "committed")
    assert bench.confirmed_by() == ["commitment"] * 3
    assert bench.kinds() == ["sent", "committed"]
    assert bench.delivery().confirm_at is None
    assert [row.association for row in bench.reports()] == ["to pacs"]
    if how == "after":
        assert archive.answers == [0x0000]


def test_a_report_that_came_to_another_process_commits(tmp_path: Path, lite: Database) -> None:
    with Archive(report="never") as archive:
        bench, sent_uids = sent(archive, tmp_path, lite, same_association_seconds=0)
        bench.confirm()
        assert bench.state() == "sent"
        assert bench.delivery().confirmation == "pacs has not reported yet"
        bench.report(archive.asked[0].transaction_uid, sent_uids)
        bench.confirm()
    assert bench.state() == "committed"
    assert len(archive.asked) == 1


def test_silence_is_asked_again_under_a_new_transaction_uid_and_then_by_c_find(
    tmp_path: Path, database: Database
) -> None:
    with Archive(report="never") as archive:
        bench, sent_uids = sent(archive, tmp_path, database, same_association_seconds=0)
        for turn in range(1, 4):
            bench.confirm()
            assert (len(archive.asked), len(archive.queries), bench.state()) == (turn, 0, "sent")
        bench.confirm()
        assert (len(archive.asked), bench.state()) == (3, "verified")
        assert len({asked.transaction_uid for asked in archive.asked}) == 3
        assert [row.state for row in bench.transactions()] == ["lapsed"] * 3
        waits = [row.due_at for row in bench.transactions()]
        assert waits == [None] * 3
        assert bench.confirmed_by() == ["query"] * 3
        bench.report(archive.asked[0].transaction_uid, sent_uids)
        bench.confirm()
    assert bench.state() == "committed", "a report counts whenever it comes"
    assert [row.state for row in bench.transactions()] == ["committed", "lapsed", "lapsed"]
    assert bench.kinds() == ["sent", "verified", "committed"]


def test_without_commitment_a_query_verifies(tmp_path: Path, lite: Database) -> None:
    with Archive(commits=False) as archive:
        bench, _ = sent(archive, tmp_path, lite)
        bench.confirm()
    assert bench.state() == "verified"
    assert bench.transactions() == []
    (query,) = archive.queries
    assert (query.QueryRetrieveLevel, query.SOPInstanceUID) == ("IMAGE", "")


@pytest.mark.parametrize("status", [0x0110, 0x0112, 0x0213])
def test_a_request_that_is_refused_leaves_the_query(status: int, tmp_path: Path, lite: Database) -> None:
    with Archive(action=status) as archive:
        bench, _ = sent(archive, tmp_path, lite)
        bench.confirm()
    assert bench.state() == "verified"
    (transaction,) = bench.transactions()
    assert transaction.state == "refused"
    assert f"N-ACTION with status {status:04X}" in transaction.reason


def test_what_is_not_kept_is_sent_again_and_asked_about_again(tmp_path: Path, database: Database) -> None:
    with Archive() as archive:
        bench = ConfirmingBench(tmp_path / "node", database, archive)
        first, lost, last = uids(bench.series(tmp_path / "ct"))
        archive.forgets = {lost}
        bench.send()
        bench.confirm()
        assert bench.state() == "pending"
        assert [item.state for item in bench.items()] == ["sent", "pending", "sent"]
        assert "0112: the destination has no such instance" in bench.items()[1].detail
        archive.forgets = set()
        bench.send()
        bench.confirm()
    assert bench.state() == "committed"
    assert archive.received == [first, lost, last, lost]
    assert [asked.sop_uids for asked in archive.asked] == [[first, lost, last], [lost]]
    assert [row.state for row in bench.transactions()] == ["failed", "committed"]
    assert bench.kinds() == ["sent", "returned", "sent", "committed"]


def test_what_is_never_kept_is_a_dead_letter_in_the_end(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench = ConfirmingBench(tmp_path / "node", lite, archive, requests=2)
        _, lost, _ = uids(bench.series(tmp_path / "ct"))
        archive.forgets = {lost}
        for _ in range(3):
            bench.send()
            bench.confirm()
    assert bench.state() == "failed"
    assert "0112" in bench.delivery().reason
    assert archive.received.count(lost) == 3
    assert bench.kinds()[-1] == "failed"


@pytest.mark.parametrize("reason", [0x0119, 0x0122])
def test_what_is_refused_for_good_is_not_sent_again(reason: int, tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench = ConfirmingBench(tmp_path / "node", lite, archive)
        refused, _, _ = uids(bench.series(tmp_path / "ct"))
        archive.failed = {refused: reason}
        bench.send()
        bench.confirm()
        bench.send()
    assert bench.state() == "failed"
    assert [item.state for item in bench.items()] == ["failed", "sent", "sent"]
    assert bench.confirmed_by() == ["", "commitment", "commitment"]
    assert archive.received.count(refused) == 1


def test_instances_that_nobody_asked_about_change_nothing(tmp_path: Path, lite: Database) -> None:
    with Archive(extra=["1.2.3.4", "2.25.99"]) as archive:
        bench, _ = sent(archive, tmp_path, lite)
        bench.report("2.25.4711", ["1.2.3.4"], [("2.25.99", 0x0112)])
        bench.confirm()
    assert bench.state() == "committed"
    assert len(bench.items()) == 3
    assert all(row.applied_at for row in bench.reports())


def test_a_report_that_leaves_instances_out_is_not_taken_for_more(tmp_path: Path, lite: Database) -> None:
    with Archive(report="never") as archive:
        bench, (first, second, third) = sent(archive, tmp_path, lite, same_association_seconds=0)
        bench.confirm()
        bench.report(archive.asked[0].transaction_uid, [first, third])
        bench.confirm()
        assert bench.state() == "sent"
        assert bench.confirmed_by() == ["commitment", "", "commitment"]
        assert archive.asked[1].sop_uids == [second]
        bench.report(archive.asked[1].transaction_uid, [second])
        bench.confirm()
    assert bench.state() == "committed"


def test_a_missing_instance_is_looked_for_again_before_it_is_sent_again(tmp_path: Path, database: Database) -> None:
    with Archive(commits=False) as archive:
        bench = ConfirmingBench(tmp_path / "node", database, archive)
        lost, *_ = uids(bench.series(tmp_path / "ct"))
        archive.forgets = {lost}
        bench.send()
        for _ in range(2):
            bench.confirm()
            assert bench.state() == "sent"
            assert bench.delivery().confirmation.endswith("does not name 1 of its instances by C-FIND")
        bench.confirm()
        assert bench.state() == "pending"
        archive.forgets = set()
        bench.send()
        bench.confirm()
    assert bench.state() == "verified"
    assert archive.received.count(lost) == 2
    assert [str(query.SOPInstanceUID) for query in archive.queries[:2]] == ["", lost]


def test_a_late_instance_alone_is_asked_about(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        files = make_ct_series(tmp_path / "all", 4, rows=32)
        bench = ConfirmingBench(tmp_path / "node", lite, archive)
        bench.series(tmp_path / "ct", 3)
        bench.send()
        bench.confirm()
        assert bench.state() == "committed"
        bench.join(files[3:])
        assert (bench.state(), bench.delivery().confirm_at) == ("pending", None)
        bench.send()
        bench.confirm()
    late = str(dcmread(files[3]).SOPInstanceUID)
    assert bench.state() == "committed"
    assert archive.asked[1].sop_uids == [late]


def test_two_deliveries_to_one_destination_share_an_association(tmp_path: Path, lite: Database) -> None:
    with Archive() as archive:
        bench = ConfirmingBench(tmp_path / "node", lite, archive)
        bench.series(tmp_path / "one", seed=1)
        bench.series(tmp_path / "two", seed=2)
        bench.send()
        bench.confirm()
        assert [row.state for row in bench.deliveries()] == ["committed", "committed"]
    assert len(archive.asked) == 2
    assert len(archive.peers) == 1


@pytest.mark.parametrize(
    ("state", "subject", "ends"),
    [("done", "enhancement", "committed"), ("outdated", "enhancement", "sent"), ("outdated", "rejection", "sent")],
)
def test_what_is_outdated_is_not_asked_about(
    state: str, subject: str, ends: str, tmp_path: Path, lite: Database
) -> None:
    """Nor the note that says so: the destination may hide both, and nothing of it may be sent again."""
    with Archive(report="never") as archive:
        bench, sent_uids = sent(archive, tmp_path, lite, same_association_seconds=0)
        bench.become_derived("done", "enhancement")
        bench.confirm()
        (asked,) = archive.asked
        bench.become_derived(state, subject)
        bench.report(asked.transaction_uid, sent_uids[:2], [(sent_uids[2], 0x0112)])
        bench.confirm()
        if ends == "committed":
            assert bench.state() == "pending"
            bench.send()
            bench.confirm()
            bench.report(archive.asked[1].transaction_uid, sent_uids)
            bench.confirm()
    assert bench.state() == ends
    assert len(archive.received) == (4 if ends == "committed" else 3)
    assert bench.delivery().confirm_at is None


def test_a_report_of_a_loss_counts_after_a_query_that_had_named_it(tmp_path: Path, lite: Database) -> None:
    with Archive(report="never") as archive:
        bench, (lost, *kept) = sent(archive, tmp_path, lite, same_association_seconds=0, requests=1)
        bench.confirm()
        bench.confirm()
        assert bench.state() == "verified"
        bench.report(archive.asked[0].transaction_uid, kept, [(lost, 0x0110)])
        bench.confirm()
        assert bench.state() == "pending"
        assert bench.confirmed_by() == ["", "commitment", "commitment"]
        bench.send()
        bench.confirm()
        bench.report(archive.asked[1].transaction_uid, [lost])
        bench.confirm()
    assert (bench.state(), archive.received.count(lost)) == ("committed", 2)
    assert bench.kinds() == ["sent", "verified", "returned", "sent", "committed"]
