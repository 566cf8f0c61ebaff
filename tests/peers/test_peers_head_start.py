"""The head start in a whole node: made while slices still come in, with nothing at the PACS before the completion."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.scenario import ask, events
from support.mainflow import destination, enhancing, metric, send, series_uid, site, wait_sent
from support.nodeproc import Node
from support.peers import Orthanc
from support.proxy import RecordingProxy
from support.series import make_ct_series

pytestmark = [pytest.mark.peers, pytest.mark.faults]

SLICES = 8


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    return make_ct_series(tmp_path / "ct", SLICES, rows=64)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[RecordingProxy]:
    with Orthanc(tmp_path / "orthanc") as orthanc, RecordingProxy(orthanc.dicom_port) as recording:
        yield recording


def node_before(proxy: RecordingProxy, root: Path, **env: str) -> Node:
    """A node on which a series is complete when somebody says so, and no sooner."""
    document = site([destination("pacs", "ORTHANC", proxy.port)], [enhancing("passthrough")])
    return Node(root / "node", site_yaml=document, env=env, completion={"quiet_seconds": 600})


def made_ahead(node: Node) -> set[str]:
    """Sources of the slices that lie in the cache."""
    folder = node.root / str(node.settings["store"]["root"]) / "ahead"
    found = set()
    for path in folder.glob("*/*.json"):
        with contextlib.suppress(FileNotFoundError):  # the job is over, and what it took goes
            found |= {one["written"]["source_sop_uid"] for one in json.loads(path.read_text()).get("made", ())}
    return found


def wait_made_ahead(node: Node, count: int) -> None:
    node.wait_until(lambda: len(made_ahead(node)) == count, 60.0, f"{count} slices to be made ahead")


def complete(node: Node, sources: list[Path]) -> dict[str, object]:
    """Complete the series, wait for the PACS; what the head start brought to the job."""
    node.cli("series", "complete", series_uid(sources[0]))
    wait_sent(node, 1)
    ((measured,),) = ask(node, "SELECT measured FROM enhancement")
    return dict(json.loads(measured)["head_start"])


def test_slices_are_made_as_they_come_and_sent_when_all_are_there(
    sources: list[Path], proxy: RecordingProxy, tmp_path: Path
) -> None:
    with node_before(proxy, tmp_path) as node:
        send(node, sources[:5])
        wait_made_ahead(node, 5)
        send(node, sources[5:])
        wait_made_ahead(node, SLICES)
        assert proxy.stores == []
        assert ask(node, "SELECT id FROM enhancement") == []
        assert ask(node, "SELECT id FROM delivery") == []
        brought = complete(node, sources)
        assert (brought["taken"], brought["computed"], brought["thrown_away"]) == (SLICES, 0, 0)
        assert node.cli("jobs", "show", "1")["measured"]["head_start"] == brought
        assert metric(node, "dicomnode_head_start_slices", outcome="taken") == SLICES
        assert metric(node, "dicomnode_head_start_seconds_saved") > 0
        assert len(proxy.stores) == SLICES
        proxy.assert_no_violations()
        wait_made_ahead(node, 0)


def test_a_worker_that_dies_ahead_of_time_costs_nobody_anything(
    sources: list[Path], proxy: RecordingProxy, tmp_path: Path
) -> None:
    """Killed right after it kept something: the next one finds that, and makes the rest."""
    with node_before(proxy, tmp_path, DICOMNODE_FAULT=f"ahead:{tmp_path / 'killed'}:1") as node:
        send(node, sources)
        wait_made_ahead(node, SLICES)
        assert (tmp_path / "killed").exists()
        brought = complete(node, sources)
        assert (brought["taken"], brought["thrown_away"]) == (SLICES, 0)
        assert events(node, "enhancement.attempt_failed") == []
        assert len({store.sop_instance_uid for store in proxy.stores}) == len(proxy.stores) == SLICES


def test_a_node_that_dies_takes_up_what_was_made_ahead(
    sources: list[Path], proxy: RecordingProxy, tmp_path: Path
) -> None:
    with node_before(proxy, tmp_path) as node:
        send(node, sources[:5])
        wait_made_ahead(node, 5)
        node.kill9()
        node.start()
        send(node, sources[5:])
        wait_made_ahead(node, SLICES)
        brought = complete(node, sources)
        assert (brought["taken"], brought["thrown_away"]) == (SLICES, 0)
        assert len({store.sop_instance_uid for store in proxy.stores}) == len(proxy.stores) == SLICES
