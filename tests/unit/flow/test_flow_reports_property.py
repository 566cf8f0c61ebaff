"""Reports in any order, twice, late, of other transactions, about other instances: none is lost, none goes too far."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from support.archive import Archive
from support.confirming import ConfirmingBench
from support.databases import new_database

from dicomnode.db.database import now
from dicomnode.db.models import AuditEvent, Commitment, CommitmentReport, Delivery, DeliveryItem
from dicomnode.flow.commitment.reports import apply_reports

ITEMS = ("1.1", "1.2", "1.3")
STRANGE = ("9.1",)
TRANSACTIONS = ("2.25.1", "2.25.2", "2.25.3")
REASONS = (0x0110, 0x0112, 0x0119, 0x0131, 0x0213, 0x4711)
FOR_GOOD = {0x0119, 0x0122}

some = st.sets(st.sampled_from((*ITEMS, *STRANGE)))
failures = st.dictionaries(st.sampled_from((*ITEMS, *STRANGE)), st.sampled_from(REASONS), max_size=2)
a_report = st.tuples(st.sampled_from((*TRANSACTIONS, "2.25.404")), some, failures)
a_lapse = st.sampled_from(TRANSACTIONS)
a_sending = st.none()
step = st.one_of(a_report, a_report, a_lapse, a_sending)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConfirmingBench]:
    root = tmp_path_factory.mktemp("reports")
    database = new_database(root)
    bench = ConfirmingBench(root / "node", database, Archive(), requests=2)
    bench.series(root / "ct", 1)
    yield bench
    database.close()


def begin(bench: ConfirmingBench) -> None:
    """A delivery of three instances that was sent, and asked about three times: of all of it, twice, and of two."""
    with bench.database.write() as session:
        for model in (CommitmentReport, Commitment, DeliveryItem, AuditEvent):
            session.execute(delete(model))
        delivery, instant = session.scalars(select(Delivery)).one(), now(session)
        delivery.state, delivery.finished_at, delivery.confirm_at = "sent", instant, instant
        delivery.returns, delivery.confirm_attempts = 0, 0
        for uid in ITEMS:
            place = {"container": "c", "offset": 0, "length": 1}
            about = {"sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "state": "sent", "sent_at": instant}
            session.add(DeliveryItem(delivery_id=delivery.id, sop_uid=uid, **place, **about))
        for uid, asked in zip(TRANSACTIONS, (ITEMS, ITEMS, ITEMS[:2]), strict=True):
            session.add(
                Commitment(
                    transaction_uid=uid,
                    delivery_id=delivery.id,
                    destination="pacs",
                    node="n",
                    state="asked",
                    sop_uids=list(asked),
                    asked_at=now(session),
                    due_at=instant,
                )
            )


def send_again(bench: ConfirmingBench) -> None:
    """As the sender does with what is pending."""
    with bench.database.write() as session:
        instant = datetime.now(UTC)
        pending = update(DeliveryItem).where(DeliveryItem.state == "pending")
        session.execute(pending.values(state="sent", sent_at=instant))
        delivery = session.scalars(select(Delivery)).one()
        if delivery.state == "pending":
            failed = session.scalars(select(DeliveryItem).where(DeliveryItem.state == "failed")).all()
            delivery.state, delivery.finished_at = ("failed" if failed else "sent"), instant


def picture(bench: ConfirmingBench) -> tuple[object, ...]:
    """All that reports may change."""
    row = bench.delivery()
    items = [(item.state, item.confirmed_by, item.confirmed_at) for item in bench.items()]
    transactions = [(each.transaction_uid, each.state) for each in bench.transactions()]
    return row.state, row.returns, row.confirm_at, items, transactions, bench.kinds()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=8))
def test_reports_in_any_order(
    bench: ConfirmingBench, steps: list[tuple[str, set[str], dict[str, int]] | str | None]
) -> None:
    begin(bench)
    asked = dict(zip(TRANSACTIONS, map(set, (ITEMS, ITEMS, ITEMS[:2])), strict=True))
    kept: set[str] = set()
    for each in steps:
        if each is None:
            send_again(bench)
        elif isinstance(each, str):
            with bench.database.write() as session:
                lapsed = update(Commitment).where(Commitment.transaction_uid == each, Commitment.state == "asked")
                session.execute(lapsed.values(state="lapsed"))
        else:
            uid, committed, failed = each
            sent = {item.sop_uid for item in bench.items() if item.state == "sent"}
            kept |= (committed - failed.keys()) & asked.get(uid, set()) & sent
            bench.report(uid, sorted(committed), sorted(failed.items()))
            apply_reports(bench.flow)
        check(bench, kept)
    before = picture(bench)
    for each in steps:
        if isinstance(each, tuple):
            bench.report(each[0], (), sorted(each[2].items()))
            bench.report(each[0], sorted(kept & each[1] - each[2].keys()), ())
    states = {row.transaction_uid: row.state for row in bench.transactions()}
    if set(states.values()) <= {"committed", "failed"}:
        apply_reports(bench.flow)
        assert picture(bench) == before, "what was said again changes nothing"


def check(bench: ConfirmingBench, kept: set[str]) -> None:
    row, items = bench.delivery(), bench.items()
    assert {item.sop_uid for item in items if item.confirmed_by == "commitment"} == kept
    assert all(item.state == "sent" for item in items if item.confirmed_by), "what is vouched for is not sent again"
    assert (row.state == "committed") == (kept == set(ITEMS))
    if row.state == "sent":
        assert row.confirm_at is not None or row.finished_at is not None
        assert all(item.state == "sent" for item in items), "nothing that is to be sent again is forgotten"
    assert (row.state == "pending") <= any(item.state == "pending" for item in items)
    assert row.returns <= 3 or row.state == "failed"
    assert all(report.applied_at for report in bench.reports())
