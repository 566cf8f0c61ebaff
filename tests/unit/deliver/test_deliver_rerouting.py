"""What an operator sends elsewhere: whatever joins it goes there as well, and there is a way back."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from support.sendingbench import SendingBench

from dicomnode.db.database import Database
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import deliveries
from dicomnode.deliver.orders import cancel, reroute
from dicomnode.deliver.plan import Sendable, Subject, plan_delivery
from dicomnode.domain.instance import Location

FILE = Path(str(get_testdata_file("CT_small.dcm", download=False)))


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> SendingBench:
    """Two instances of a series are to go to pacs."""
    bench = SendingBench(tmp_path, database=database)
    bench.plan([FILE], copies=2)
    return bench


def act(bench: SendingBench, to: str, verb: str, where: str = "") -> int:
    """An operator does this to the delivery to a destination."""
    with bench.database.write() as session:
        row = deliveries.by_subject(session, to, bench.deliveries()[0].subject)
        assert row is not None
        return reroute(session, row, where, "anna", "n") if verb == "reroute" else cancel(session, row, "anna", "n")


def join(bench: SendingBench, uid: str) -> None:
    """A late instance of the series is to go to pacs, as the rule says."""
    row = bench.deliveries()[0]
    late = Sendable(uid, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", Location("made.tar", 0, 10))
    with bench.database.write() as session:
        subject = Subject(row.series_uid, row.series_uid)
        plan_delivery(session, "pacs", subject, [late], rule="all", node="n", now=datetime.now(UTC))


def waiting(bench: SendingBench) -> dict[str, tuple[str, int]]:
    """State and number of instances of each delivery, by destination."""
    with bench.database.read() as session:
        rows: list[Delivery] = bench.deliveries()
        return {row.destination: (row.state, sum(deliveries.counts(session, row.id).values())) for row in rows}


def test_late_instances_follow(bench: SendingBench) -> None:
    assert act(bench, "pacs", "reroute", "archive") == 2
    join(bench, "1.9.1")
    assert waiting(bench) == {"pacs": ("cancelled", 2), "archive": ("pending", 3)}
    assert act(bench, "archive", "reroute", "attic") == 3
    join(bench, "1.9.2")
    assert waiting(bench)["attic"] == ("pending", 4)


def test_back_to_the_first(bench: SendingBench) -> None:
    act(bench, "pacs", "reroute", "archive")
    join(bench, "1.9.1")
    assert act(bench, "archive", "reroute", "pacs") == 3
    assert waiting(bench) == {"pacs": ("pending", 3), "archive": ("cancelled", 3)}
    join(bench, "1.9.2")
    assert waiting(bench)["pacs"] == ("pending", 4)


def test_what_was_only_cancelled_stays_where_it_is(bench: SendingBench) -> None:
    act(bench, "pacs", "cancel")
    join(bench, "1.9.1")
    assert waiting(bench) == {"pacs": ("cancelled", 3)}
