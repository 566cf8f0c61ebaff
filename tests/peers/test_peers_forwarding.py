"""Originals go on as they arrive, unaltered and never back; what a dicomnode derived goes nowhere a second time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.mainflow import (
    ANNOUNCED,
    IS_CT,
    add_pipeline,
    derived_of,
    destination,
    download,
    enhancing,
    held_of,
    send,
    series_uid,
    shown,
    site,
    sop_uids,
    wait_complete,
    wait_sent,
)
from support.nodeproc import Node
from support.peers import Orthanc
from support.rawfiles import raw_file
from support.series import make_ct_series

pytestmark = pytest.mark.peers

SLICES = 5
SCANNER, HASTY = "SCANNER", "HASTY"
"""Two senders: one whose series do not complete within a test, and one that announces how many images it sends."""


@dataclass
class House:
    node: Node
    pacs: Orthanc
    archive: Orthanc


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Every CT instance goes to the archive and to SCANNER itself; enhanced series go to the PACS."""
    root = tmp_path_factory.mktemp("forwarding")
    with Orthanc(root / "pacs") as pacs, Orthanc(root / "archive", ae_title="ARCHIVE") as archive:
        destinations = [
            destination("pacs", pacs.ae_title, pacs.dicom_port),
            destination("archive", archive.ae_title, archive.dicom_port),
            destination("back", HASTY, archive.dicom_port),
        ]
        originals = {"name": "originals", "state": "live", "when": IS_CT, "forward_original_to": ["archive", "back"]}
        document = site(destinations, [originals, enhancing("soften")])
        node = Node(root / "node", site_yaml=document, completion=ANNOUNCED)
        add_pipeline(node)
        with node:
            yield House(node, pacs, archive)


def forwarded(house: House, files: list[Path]) -> bool:
    return set(sop_uids(files)) <= {uid for series in house.archive.series() for uid in house.archive.sop_uids(series)}


def test_originals_are_forwarded_before_the_series_is_complete(house: House, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", SLICES, rows=64, seed=1)
    send(house.node, files, SCANNER)
    house.node.wait_until(lambda: forwarded(house, files), 60.0, "the originals to be forwarded")
    wait_sent(house.node, 1, "archive")
    uid = series_uid(files[0])
    assert shown(house.node, uid)["state"] == "receiving"
    held = download(house.archive, uid, tmp_path / "archive")
    assert [raw_file(path).data_set for path in held] == [raw_file(path).data_set for path in files]
    assert house.pacs.studies() == []


def test_nothing_goes_back_to_where_it_came_from(house: House, tmp_path: Path) -> None:
    from_scanner = make_ct_series(tmp_path / "scanner", SLICES, rows=64, seed=2)
    from_hasty = make_ct_series(tmp_path / "hasty", SLICES, rows=64, seed=3, images_in_acquisition=True)
    send(house.node, from_hasty, HASTY)
    send(house.node, from_scanner, SCANNER)
    house.node.wait_until(lambda: forwarded(house, from_hasty + from_scanner), 60.0, "both to be forwarded")
    planned = {one["destination"] for one in shown(house.node, series_uid(from_hasty[0]))["deliveries"]}
    assert "archive" in planned
    assert "back" not in planned
    planned = {one["destination"] for one in shown(house.node, series_uid(from_scanner[0]))["deliveries"]}
    assert planned == {"archive", "back"}


def test_what_a_dicomnode_derived_is_stored_and_goes_no_further(house: House, tmp_path: Path) -> None:
    files = make_ct_series(tmp_path / "ct", SLICES, rows=64, seed=4, images_in_acquisition=True)
    send(house.node, files, HASTY)
    study = raw_file(files[0]).study_uid
    house.node.wait_until(lambda: forwarded(house, files), 60.0, "the originals to be forwarded")
    house.node.wait_until(lambda: len(held_of(house.pacs, study)) == SLICES, 60.0, "the derived series")
    derived = derived_of(house.pacs, files, tmp_path / "derived")
    uid = series_uid(derived[0])
    archived = house.archive.instance_count()

    send(house.node, derived, house.pacs.ae_title)
    wait_complete(house.node, uid)
    document = shown(house.node, uid)
    assert (document["instances"], document["derived_by_node"]) == (SLICES, True)
    assert document["enhancements"] == document["deliveries"] == []
    (decision,) = document["decisions"]
    assert decision["outcome"] == "matches, but a dicomnode made this series: never enhanced again"
    assert house.archive.instance_count() == archived
    assert len(house.pacs.series(study)) == 1
