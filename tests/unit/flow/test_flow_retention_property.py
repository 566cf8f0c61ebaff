"""Whatever is in a store, wherever a turn of retention is cut off: what is kept is whole, and nothing is left over."""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from support.databases import sqlite
from support.rawfiles import sample

from dicomnode.db.models import Instance, Series
from dicomnode.domain.finding import Severity
from dicomnode.domain.instance import Location
from dicomnode.enhance.registry import Registry
from dicomnode.flow import Flow
from dicomnode.flow.upkeep import retention
from dicomnode.settings import NodeSettings, Settings, StoreSettings
from dicomnode.store.doctor import Doctor
from dicomnode.store.fingerprints import fingerprint_at
from dicomnode.store.index import Indexer
from dicomnode.store.journal import Journal
from dicomnode.store.repair import KINDS

CT = sample()
REGISTRY = Registry.load([], bundled=False, entry_points=False)


@dataclass(frozen=True)
class Kept:
    """One series: its instances, how often each came, how many days ago, and what holds it."""

    instances: int
    copies: int
    days: int
    complete: bool
    kept_by: str
    containers: int


SERIES = st.builds(
    Kept,
    instances=st.integers(1, 3),
    copies=st.integers(1, 2),
    days=st.integers(0, 60),
    complete=st.booleans(),
    kept_by=st.sampled_from(["", "", "somebody"]),
    containers=st.integers(1, 2),
)


def store_of(root: Path, found: list[Kept]) -> Flow:
    store = StoreSettings(root=root, min_free_gb=0, retention_days=30)
    flow = Flow(sqlite(root / "node.db"), Settings(node=NodeSettings(name="n"), store=store), REGISTRY)
    for turn in range(2):
        journal = Journal(root, "n", f"p{turn}", min_free_gb=0)
        for number, series in enumerate(found):
            if turn < series.containers:
                receive(journal, f"1.2.{number}", series, turn)
        journal.close()
    Indexer(root, "n", flow.database, lambda session, arrivals: None, lambda first, second: True).run()
    with flow.database.write() as session:
        for number, series in enumerate(found):
            at = datetime.now(UTC) - timedelta(days=series.days)
            state = "complete" if series.complete else "receiving"
            values = {"state": state, "kept_by": series.kept_by, "completed_at": at, "last_arrival_at": at}
            session.execute(update(Series).where(Series.uid == f"1.2.{number}").values(values))
    return flow


def receive(journal: Journal, uid: str, series: Kept, turn: int) -> None:
    at = (datetime.now(UTC) - timedelta(days=series.days)).isoformat(timespec="milliseconds")
    for index in range(series.instances):
        sop_uid = f"{uid}.{turn}.{index}"
        file = replace(CT, sop_uid=sop_uid, series_uid=uid)
        for _ in range(series.copies):
            receipt = file.receipt(sop_instance_uid=sop_uid, series_uid=uid, received_at=at)
            journal.append(receipt, file.data_set)


class CutOff(Exception):
    """The power went."""


def cut_off_at(stage: str) -> object:
    def reached(name: str) -> None:
        if name == stage:
            raise CutOff

    return reached


@settings(max_examples=40, deadline=None)
@given(found=st.lists(SERIES, min_size=1, max_size=4), cut=st.sampled_from(["", "purged", "removed"]))
@example(found=[Kept(1, 1, days, True, "", 1) for days in (29, 30, 31)], cut="")
def test_what_is_kept_is_whole_and_nothing_is_left_over(found: list[Kept], cut: str) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        flow = store_of(root, found)
        patch.setattr(retention, "checkpoint", cut_off_at(cut))
        try:
            retention.retain(flow)
        except CutOff:
            patch.setattr(retention, "checkpoint", cut_off_at(""))
            assert_kept_is_whole(flow, found, finished=False)
            retention.retain(flow)
        assert_kept_is_whole(flow, found, finished=True)
        troubles = list(Doctor(root, flow.database, "n", running=False, deep=True).look())
        assert [each for each in troubles if KINDS[each.kind].severity is Severity.ERROR] == []
        assert retention.retain(flow) == retention.Retained()


def assert_kept_is_whole(flow: Flow, found: list[Kept], *, finished: bool) -> None:
    with flow.database.read() as session:
        rows = session.scalars(select(Instance)).all()
        purged = {row.uid for row in session.scalars(select(Series)) if row.purged_at is not None}
    # thirty days to the moment are over when retention comes to look
    may_go = {f"1.2.{n}" for n, each in enumerate(found) if each.days >= 30 and each.complete and not each.kept_by}
    assert purged == may_go if finished else purged <= may_go
    for row in rows:
        assert (row.gone == "purged") == (row.series_uid in purged)
        if not row.gone:
            place = Location(row.container, row.offset, row.length)
            assert fingerprint_at(flow.root, place, row.transfer_syntax_uid) == row.sha256
        elif finished:
            assert not (flow.root / row.container).exists()
