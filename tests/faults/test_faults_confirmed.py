"""The PACS is asked to commit: its own word makes a delivery `committed`, whenever and however it comes, no sooner."""

import time
from pathlib import Path

import pytest
from faults.scenario import ask, events, send_whole, site
from support.archive import Archive
from support.instances import ct_template
from support.matrix import Form, RecordRow, forms
from support.nodeproc import Node
from support.rawfiles import RawFile

pytestmark = pytest.mark.faults

WAYS = ("before", "after")
"""Before the response to N-ACTION, or after it on the same association."""
NEW = "new"
"""On an association of its own."""


SAME_ASSOCIATION = "DICOMNODE_CONFIRMATION__SAME_ASSOCIATION_SECONDS"
REPORT_SECONDS = "DICOMNODE_CONFIRMATION__REPORT_SECONDS"


def a_node(root: Path, archive: Archive, stage: str, report_seconds: float) -> Node:
    """A node that forwards originals, and is killed once when it reaches `stage`.

    A report over the association of its request is waited for longer than this machine may hold one up.
    """
    node = Node(
        root,
        site_yaml=site(archive.port, forward=True, enhance=False, ae_title="ARCHIVE"),
        completion={"quiet_seconds": 3600.0},
        engine={"devices": []},
        confirmation={"after_seconds": 0.5},
        env={
            "DICOMNODE_FAULT": f"{stage}:{root.parent / 'struck'}",
            REPORT_SECONDS: str(report_seconds),
            SAME_ASSOCIATION: "30",
        },
    )
    archive.node = (node.ae_title, node.dicom_port)
    return node


def states(node: Node, files: list[RawFile]) -> set[tuple[str, int]]:
    """State of the deliveries that these instances are in, with how many of them are confirmed by commitment."""
    query = (
        "SELECT delivery.state, count(*) FROM delivery JOIN delivery_item ON delivery_id = delivery.id "
        "WHERE confirmed_by = ? AND delivery.series_uid IN (SELECT series_uid FROM instance WHERE sop_uid = ?) "
        "GROUP BY delivery.state"
    )
    return {(state, count) for state, count in ask(node, query, "commitment", files[0].sop_uid)}


def wait_committed(node: Node, files: list[RawFile], seconds: float = 60.0) -> None:
    node.wait_until(lambda: states(node, files) == {("committed", len(files))}, seconds, "the PACS' word to count")


def start_again(node: Node, struck: Path) -> None:
    """Once it has struck itself down."""
    deadline = time.monotonic() + 60.0
    while not struck.exists():
        assert time.monotonic() < deadline, "nobody died"
        time.sleep(0.05)
    node.kill9()
    node.start()


def expect_no_report_there(node: Node) -> None:
    """From now on reports come over associations of their own: it need not wait for them at the end of a request."""
    assert node.terminate() == 0
    node.env[SAME_ASSOCIATION] = "0.2"
    node.start()


@pytest.mark.parametrize("form", forms(11))
def test_nothing_but_its_report_commits_and_every_report_does(
    form: Form, tmp_path: Path, record_row: RecordRow
) -> None:
    """Killed as N-ACTION was answered: the report that comes to the next life of the node counts, asked or not."""
    template, series = ct_template(64), 0

    def another() -> list[RawFile]:
        nonlocal series
        series += 1
        return list(template.series(series, form["instances"]))

    with Archive(report="never") as archive, a_node(tmp_path / "node", archive, "asked", 600.0) as node:
        first = another()
        send_whole(node, first)
        start_again(node, tmp_path / "struck")
        time.sleep(2.0)
        assert states(node, first) == set(), "without a report nothing is committed"
        assert archive.tell(archive.asked[0]) == 0x0000
        wait_committed(node, first)
        assert len(archive.asked) == 1, "what was asked before the kill counts"
        for way in form["rounds"] * WAYS:
            archive.report = way
            files = another()
            send_whole(node, files)
            wait_committed(node, files)
        expect_no_report_there(node)
        archive.report = NEW
        for _ in range(form["rounds"]):
            send_whole(node, files := another())
            wait_committed(node, files)
            archive.forgets = {(files := another())[1].sop_uid}
            send_whole(node, files)
            node.wait_until(lambda files=files: archive.received.count(files[1].sop_uid) == 2, 60.0, "a second time")  # type: ignore[misc]
            archive.forgets = set()
            wait_committed(node, files)
            assert [archive.received.count(file.sop_uid) for file in files if file is not files[1]] == [1] * (
                len(files) - 1
            )
        assert len(events(node, "delivery.committed")) == series
        assert archive.received.count(first[0].sop_uid) == 1
        assert set(archive.answers) == {0x0000}
    record_row(form, node=f"{series} of {series} committed by a report; one of them after a kill -9, none sooner")


def test_killed_before_the_request_went_out_it_asks_under_a_new_transaction_uid(tmp_path: Path) -> None:
    files = list(ct_template(64).series(1, 3))
    with Archive(report=NEW) as archive, a_node(tmp_path / "node", archive, "asking", 1.0) as node:
        send_whole(node, files)
        node.env[REPORT_SECONDS] = "600"  # of its next life: the request that is lost waits for the one second
        start_again(node, tmp_path / "struck")
        wait_committed(node, files)
        (asked,) = archive.asked
        rows = ask(node, "SELECT transaction_uid, state FROM commitment ORDER BY asked_at")
        assert [state for _, state in rows] == ["lapsed", "committed"]
        assert rows[1][0] == asked.transaction_uid
