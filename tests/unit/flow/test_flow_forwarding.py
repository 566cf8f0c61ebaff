"""Forwarding on arrival: decided before the index's transaction begins, and as it would be in it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy.exc import IntegrityError, OperationalError
from support.flowbench import FlowBench
from support.series import make_ct_series, make_mixed_study

from dicomnode.domain.instance import Location
from dicomnode.flow.completing import forwarding_rules
from dicomnode.store import index, index_headers
from dicomnode.store.index_batch import Read

pytestmark = pytest.mark.usefixtures("each_database")

CT_TO_PACS = """
  - name: onward
    state: live
    when: {attribute: Modality, equals: CT}
    forward_original_to: [pacs]
"""
EVERYTHING_TO_ARCHIVE = CT_TO_PACS.replace("{attribute: Modality, equals: CT}", "{all: []}").replace("pacs", "archive")


class Batches(FlowBench):
    """Takes in what was received when `run` is called; `open_at_reading` says for each header that was read whole how
    many connections the node had in use."""

    def __init__(self, root: Path, rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root, rules)
        self.run: Callable[[], Any] = self.indexer.run
        monkeypatch.setattr(self.indexer, "run", lambda: None)
        self.open_at_reading: list[int] = []
        real, pool = index_headers.read_header, self.flow.database.engine.pool

        def read(root: Path, location: Location) -> Dataset:
            self.open_at_reading.append(pool.checkedout())  # type: ignore[attr-defined]
            return real(root, location)

        monkeypatch.setattr(index_headers, "read_header", read)


@pytest.fixture
def slices(tmp_path: Path) -> list[Dataset]:
    return [dcmread(file) for file in make_ct_series(tmp_path / "ct", 3, rows=8)]


def test_no_transaction_waits_for_a_header(
    tmp_path: Path, slices: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Batches(tmp_path / "node", CT_TO_PACS, monkeypatch)
    for dataset in [*slices, slices[0]]:
        bench.receive(dataset)
    bench.run()
    assert bench.open_at_reading == [0, 0, 0]
    assert len(bench.items()) == 3


def test_an_attempt_that_is_repeated_reads_nothing_anew(
    tmp_path: Path, slices: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Batches(tmp_path / "node", CT_TO_PACS, monkeypatch)
    real = index.container_rows.advance
    stumbles = [IntegrityError("", {}, Exception("crossed")), OperationalError("", {}, Exception("silent too long"))]

    def stumbling(*arguments: Any) -> None:
        if stumbles:
            raise stumbles.pop(0)
        real(*arguments)

    monkeypatch.setattr(index.container_rows, "advance", stumbling)
    for dataset in slices:
        bench.receive(dataset)
    with pytest.raises(OperationalError):
        bench.run()
    bench.run()
    assert bench.open_at_reading == [0, 0, 0]
    assert len(bench.items()) == 3


def test_rules_that_are_published_in_between_decide(
    tmp_path: Path, slices: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Batches(tmp_path / "node", CT_TO_PACS, monkeypatch)
    foresee = bench.indexer._foresee

    def overtaken(batch: Sequence[Read]) -> None:
        foresee(batch)
        bench.import_site(EVERYTHING_TO_ARCHIVE)

    monkeypatch.setattr(bench.indexer, "_foresee", overtaken)
    bench.receive(slices[0])
    bench.run()
    assert [delivery.destination for delivery in bench.deliveries()] == ["archive"]


def test_decisions_are_those_of_the_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = """
  - name: from two
    state: live
    when: {all: [{fact: calling_aet, equals: CT2}, {fact: called_aet, equals: DICOMNODE}]}
    forward_original_to: [archive]
  - name: localizers stay
    state: live
    when: {not: {attribute: ImageType, contains: LOCALIZER}}
    forward_original_to: [pacs]
"""
    mixed = make_mixed_study(tmp_path / "mixed", n=2, rows=8)
    files = [file for found in mixed.values() for file in (found if isinstance(found, list) else [found])]
    planned = []
    for name in ("foreseen", "not"):
        bench = Batches(tmp_path / name, rules, monkeypatch)
        if name == "not":
            monkeypatch.setattr(bench.indexer, "_foresee", lambda batch: None)
        for number, file in enumerate(files):
            bench.receive(dcmread(file), calling_aet=f"CT{1 + number % 2}")
        bench.run()
        assert set(bench.open_at_reading) == ({0} if name == "foreseen" else {1})
        destinations = {delivery.id: delivery.destination for delivery in bench.deliveries()}
        planned.append({(destinations[item.delivery_id], item.sop_uid) for item in bench.items()})
    assert planned[0] == planned[1]
    assert {destination for destination, _ in planned[0]} == {"archive", "pacs"}


def test_no_more_decisions_are_kept_than_are_needed(
    tmp_path: Path, slices: list[Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding_rules, "_REMEMBERED", 2)
    bench = Batches(tmp_path / "node", CT_TO_PACS, monkeypatch)
    for dataset in slices:
        bench.receive(dataset)
        bench.run()
    assert bench.open_at_reading == [0, 0, 0]
    assert len(bench.flow.forwarding._found) == 2
