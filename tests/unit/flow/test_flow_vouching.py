"""A modality asks for its instances to be kept: judged on stored bytes and on what destinations said, and no sooner."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import event, select, update
from support.retaining import FORWARD
from support.series import make_ct_series
from support.vouching import VouchingBench

from dicomnode.db.database import now as database_now
from dicomnode.db.models import CommitmentRequest, Container, Delivery, DeliveryItem, Instance, Series
from dicomnode.deliver import orders
from dicomnode.flow.commitment.telling import vouch_due
from dicomnode.flow.upkeep.retention import keep, release

pytestmark = pytest.mark.torch

MR = "1.2.840.10008.5.1.4.1.1.4"
NOBODY = "1.2.3.4"


@pytest.fixture
def datasets(tmp_path: Path) -> list[Dataset]:
    return [dcmread(file) for file in make_ct_series(tmp_path / "ct", 3, rows=32)]


def uids_of(datasets: list[Dataset]) -> list[str]:
    return [str(dataset.SOPInstanceUID) for dataset in datasets]


def bench_with(root: Path, datasets: list[Dataset], rules: str = "  []") -> VouchingBench:
    bench = VouchingBench(root, rules, days=30)
    bench.again(datasets)
    return bench


def flip_a_byte(bench: VouchingBench, uid: str) -> None:
    """Of the pixels of one stored instance."""
    (row,) = [row for row in bench.instances() if row.sop_uid == uid]
    descriptor = os.open(bench.flow.root / row.container, os.O_RDWR)
    try:
        place = row.offset + row.length - 9
        (value,) = os.pread(descriptor, 1, place)
        os.pwrite(descriptor, bytes([value ^ 1]), place)
    finally:
        os.close(descriptor)


def test_without_forwarding_this_node_keeps_them(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    bench.ask(*uids_of(datasets), NOBODY)
    assert bench.judged() == {NOBODY: 0x0112}
    assert bench.the_series().kept_for == "CT1"
    event = bench.event("commitment.judged")
    assert (event.outcome, event.detail["committed"]) == ("warning", 3)
    assert event.detail["kept_here"] == [bench.the_series().uid]
    assert event.detail["failed"] == {NOBODY: "0112 it never came"}


def test_what_is_promised_is_not_given_up(tmp_path: Path, datasets: list[Dataset]) -> None:
    """Nor does an operator who keeps it, and lets it go again, break the promise unawares."""
    bench = bench_with(tmp_path / "node", datasets)
    bench.complete()
    bench.ask(uids_of(datasets)[0])
    assert bench.judged() == {}
    bench.close_containers()
    bench.let_days_pass(31)
    assert bench.retain().series == 0
    with bench.flow.database.write() as session:
        series = session.scalars(select(Series)).one()
        keep(bench.flow, session, series, "anna")
        assert (series.kept_by, series.kept_for) == ("anna", "CT1")
        release(bench.flow, session, series, "anna")
    assert bench.retain().series == 0
    with bench.flow.database.write() as session:
        release(bench.flow, session, session.scalars(select(Series)).one(), "anna", promise=True)
    assert bench.retain().series == 1


def test_what_was_given_up_is_not_promised(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    bench.complete()
    bench.close_containers()
    bench.let_days_pass(31)
    assert bench.retain().series == 1
    bench.ask(uids_of(datasets)[0])
    assert bench.judged() == {uids_of(datasets)[0]: 0x0112}
    assert bench.the_series().kept_for == ""


def test_retention_that_was_faster_is_noticed(
    tmp_path: Path, datasets: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The series is given up after its bytes were read, and before the promise."""
    bench = bench_with(tmp_path / "node", datasets)
    bench.complete()
    bench.close_containers()
    bench.let_days_pass(31)
    bench.ask(uids_of(datasets)[0])

    def strike(stage: str) -> None:
        if stage == "weighed":
            assert bench.retain().series == 1

    monkeypatch.setattr("dicomnode.flow.commitment.vouching.checkpoint", strike)
    assert bench.judged() == {uids_of(datasets)[0]: 0x0112}
    assert bench.the_series().kept_for == ""


def test_a_damaged_instance_is_refused_and_heals_when_it_comes_again(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    uids = uids_of(datasets)
    flip_a_byte(bench, uids[1])
    bench.ask(*uids)
    assert bench.judged() == {uids[1]: 0x0110}
    assert {row.sop_uid: row.fault for row in bench.instances()} == {uids[0]: "", uids[1]: "damaged", uids[2]: ""}
    assert bench.event("instance.damaged").detail["sop_uids"] == [uids[1]]
    bench.again([datasets[1]])
    with bench.flow.database.write() as session:
        session.delete(session.scalars(select(CommitmentRequest)).one())
    bench.ask(*uids)
    assert bench.judged() == {}


def test_another_sop_class_than_the_stored_one(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    bench.ask(uids_of(datasets)[0], sop_class_uid=MR)
    assert bench.judged() == {uids_of(datasets)[0]: 0x0119}


def test_other_content_under_the_same_uid(tmp_path: Path, datasets: list[Dataset]) -> None:
    """The modality may mean the content that was set aside: until somebody has looked, nothing is promised."""
    bench = bench_with(tmp_path / "node", datasets)
    other = dcmread(make_ct_series(tmp_path / "other", 1, rows=32, seed=5)[0])
    datasets[0].PixelData = other.PixelData
    bench.again([datasets[0]])
    bench.ask(*uids_of(datasets))
    assert bench.judged() == {uids_of(datasets)[0]: 0x0110}


def test_it_waits_for_every_destination(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD.replace("[archive]", "[archive, pacs]"))
    uids = uids_of(datasets)
    bench.ask(*uids)
    assert bench.judged() is None
    assert "is on its way" in bench.request().reason
    bench.delivered()
    assert bench.judged() is None
    bench.confirmed(*uids[:2])
    assert bench.judged() is None
    bench.confirmed()
    assert bench.judged() == {}
    assert bench.the_series().kept_for == "", "the destinations keep it"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_delivery_that_was_set_aside(tmp_path: Path, datasets: list[Dataset], state: str) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    bench.delivered()
    uids = uids_of(datasets)
    bench.confirmed(uids[0])
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).values(state=state, reason="the disk is full"))
    bench.ask(*uids)
    assert bench.judged() == dict.fromkeys(uids[1:], 0x0110)
    assert "the disk is full" in bench.request().reason


def test_of_a_delivery_that_was_sent_elsewhere_the_other_destination_counts(
    tmp_path: Path, datasets: list[Dataset]
) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    with bench.flow.database.write() as session:
        (row,) = session.scalars(select(Delivery))
        orders.reroute(session, row, "pacs", "anna", "n")
    bench.ask(*uids_of(datasets))
    assert bench.judged() is None
    assert "pacs: it is on its way" in bench.request().reason
    with bench.flow.database.write() as session:
        there = DeliveryItem.delivery_id.in_(select(Delivery.id).where(Delivery.destination == "pacs"))
        session.execute(update(DeliveryItem).where(there).values(state="sent", confirmed_at=database_now(session)))
    assert bench.judged() == {}


def test_a_destination_that_gave_no_word_within_its_time(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    bench.delivered()
    with bench.flow.database.write() as session:
        session.execute(update(Delivery).values(confirm_at=None, confirmation="no report came"))
    bench.ask(uids_of(datasets)[0])
    assert bench.judged() == {uids_of(datasets)[0]: 0x0110}
    assert "no report came" in bench.request().reason


def test_where_nobody_can_vouch_this_node_does(tmp_path: Path, datasets: list[Dataset]) -> None:
    """A destination that is never asked has to take the instance, and this node keeps it as well."""
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    site = bench.flow.site.get
    with bench.flow.database.read() as session:
        _, current = site(session)
    silent = current.model_copy(
        update={"destinations": tuple(each.model_copy(update={"confirm": "none"}) for each in current.destinations)}
    )
    bench.flow.site.get = lambda session: (1, silent)
    bench.ask(*uids_of(datasets))
    assert bench.judged() is None
    bench.delivered()
    assert bench.judged() == {}
    assert bench.the_series().kept_for == "CT1"


def test_what_is_not_indexed_yet_is_waited_for(tmp_path: Path, datasets: list[Dataset]) -> None:
    """The request was applied by a run of the index that had passed the instance's container just before."""
    bench = bench_with(tmp_path / "node", datasets[:1])
    run, uids = bench.indexer.run, uids_of(datasets)
    bench.indexer.run = lambda applied=None: None
    bench.again(datasets[1:])
    bench.ask(*uids)
    assert bench.judged() is None
    assert "not indexed yet" in bench.request().reason
    run()
    assert bench.judged() == {}


@pytest.mark.usefixtures("each_database")
def test_of_all_containers_that_ever_were_only_those_on_disk_are_asked_for(
    tmp_path: Path, datasets: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And these only where an instance is not known. The table keeps a row of each that retention has removed."""
    monkeypatch.setattr("dicomnode.db.repositories.containers._CHUNK", 1)
    bench = bench_with(tmp_path / "node", datasets[:2])
    bench.close_containers()
    datasets[2].SeriesInstanceUID += ".2"
    bench.again(datasets[2:])
    with bench.flow.database.write() as session:
        session.add_all(Container(name=f"containers/{n}.tar", node="n", indexed_to=1) for n in range(10))
    asked: list[str] = []

    def note(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        if "FROM container" in statement:
            asked.append(str(parameters))

    event.listen(bench.flow.database.engine, "before_cursor_execute", note)
    bench.ask(*uids_of(datasets))
    assert bench.judged() == {}
    assert asked == []
    bench.ask(NOBODY, transaction_uid="1.2.10", calling_aet="CT2")
    bench.hurry()
    vouch_due(bench.flow)
    assert len(asked) == len(bench.containers) == 2
    assert all(any(name in parameters for parameters in asked) for name in bench.containers)


def test_a_container_that_never_was_indexed_counts(tmp_path: Path, datasets: list[Dataset]) -> None:
    """Of whatever node: one that died, too, may have acknowledged it."""
    bench = VouchingBench(tmp_path / "node")
    bench.indexer.run = lambda applied=None: None
    bench.again(datasets)
    bench.close_containers()
    bench.ask(*uids_of(datasets), NOBODY)
    assert bench.judged() is None
    assert bench.instances() == []


def test_when_its_time_is_up_what_still_waits_has_failed(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    bench.delivered()
    uids = uids_of(datasets)
    bench.confirmed(uids[0])
    bench.ask(*uids)
    assert bench.judged() is None
    with bench.flow.database.write() as session:
        past = database_now(session) - timedelta(hours=25)
        session.execute(update(CommitmentRequest).values(received_at=past))
    assert bench.judged() == dict.fromkeys(uids[1:], 0x0110)
    assert "time ran out" in bench.request().reason


def test_a_container_that_cannot_be_read_may_come_back(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    (name,) = {row.container for row in bench.instances()}
    (bench.flow.root / name).rename(tmp_path / "unmounted")
    bench.ask(*uids_of(datasets))
    assert bench.judged() is None
    (tmp_path / "unmounted").rename(bench.flow.root / name)
    assert bench.judged() == {}


def test_the_older_the_request_the_longer_the_pause(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets, FORWARD)
    bench.ask(*uids_of(datasets))
    for age, least, most in ((0.0, 1.0, 10.0), (60.0, 15.0, 30.0), (3600.0, 60.0, 60.0)):
        with bench.flow.database.write() as session:
            before = database_now(session)
            session.execute(update(CommitmentRequest).values(received_at=before - timedelta(seconds=age)))
        assert bench.judged() is None
        with bench.flow.database.read() as session:
            after = database_now(session)
        due_at = bench.request().due_at
        assert due_at is not None
        assert before + timedelta(seconds=least) <= due_at <= after + timedelta(seconds=most)


def test_every_instance_row_is_needed_for_its_bytes(tmp_path: Path, datasets: list[Dataset]) -> None:
    """A row that points elsewhere than to its own bytes proves nothing."""
    bench = bench_with(tmp_path / "node", datasets)
    first, second, _ = bench.instances()
    with bench.flow.database.write() as session:
        values = {"container": second.container, "offset": second.offset, "length": second.length}
        session.execute(update(Instance).where(Instance.sop_uid == first.sop_uid).values(values))
    bench.ask(*uids_of(datasets))
    assert bench.judged() == {first.sop_uid: 0x0110}


def test_a_request_that_fails_holds_no_other_up(tmp_path: Path, datasets: list[Dataset]) -> None:
    bench = bench_with(tmp_path / "node", datasets)
    bench.ask(NOBODY)
    bench.ask(*uids_of(datasets), transaction_uid="1.2.10", calling_aet="CT2")
    with bench.flow.database.write() as session:
        first = session.scalars(select(CommitmentRequest).where(CommitmentRequest.calling_aet == "CT1")).one()
        first.instances = ["not a pair of UIDs"]
    with pytest.raises(ValueError, match="too many values"):
        vouch_due(bench.flow)
    with bench.flow.database.read() as session:
        states = {row.calling_aet: row.state for row in session.scalars(select(CommitmentRequest))}
    assert states == {"CT1": "waiting", "CT2": "judged"}
