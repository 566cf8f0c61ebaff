"""Pages of a series when things do not go their usual way: odd words in the search, work that waits."""

from pathlib import Path

import pytest
from support.flowbench import FlowBench
from support.series import make_ct_series
from support.webapp import Headless, client, headless

from dicomnode.audit.events import record
from dicomnode.db.repositories import holds
from dicomnode.web.paging import encode

EVERY = "\n  - {name: all, state: live, when: {all: []}, enhance: {pipeline: passthrough}, deliver_to: [pacs]}\n"


@pytest.mark.usefixtures("each_database")
def test_what_no_database_takes_is_refused_and_odd_words_find_nothing(tmp_path: Path) -> None:
    browser = client(headless(tmp_path), "admin", names_shown=True)
    cursor = encode(("2026-01-01T00:00:00+00:00", "a\0b"))
    for query in ("q=a%00", "modality=%00", f"cursor={cursor}"):
        assert browser.get(f"/series?{query}").status_code == 422, query
        assert browser.get(f"/api/v1/series?{query.replace('q=', 'text=')}").status_code == 422, query
    assert [browser.get(path).status_code for path in ("/series/1%00", "/api/v1/series/1%00")] == [422, 422]
    for word in ("%", "_", "\\", "'; --", "(((", "ß" * 200, "\U0001f9b4", "1.2.3.4.5*", "2.25.1.", "*"):
        assert browser.get("/series", params={"q": word}).status_code == 200, word


@pytest.mark.torch
def test_what_waits_says_for_what_and_many_attempts_are_folded(tmp_path: Path) -> None:
    bench = FlowBench(tmp_path / "node", EVERY)
    bench.receive_files(make_ct_series(tmp_path, 1, rows=32))
    bench.complete()
    uid = bench.series()[0].uid
    browser = client(Headless(bench.flow), "operator", name="otto")
    with bench.flow.database.write() as session:
        holds.hold(session, holds.JOBS, "passthrough", "anna", "a new network comes")
    assert "It waits: passthrough is paused by anna" in browser.get(f"/series/{uid}").text
    with bench.flow.database.write() as session:
        holds.release(session, holds.JOBS, "passthrough")
        holds.hold(session, holds.DESTINATION, "pacs", "anna", "the line is being mended")
    assert bench.work() == 1
    with bench.flow.database.write() as session:
        for number in range(9):
            record(session, "delivery.retry", f"trial {number}", node="n", series_uid=uid, subject="delivery:1")
    page = browser.get(f"/series/{uid}").text
    assert "It waits for the destination, which is paused: by anna: the line is being mended" in page
    assert "5 earlier events" in page
    assert page.index("trial 4") < page.index("</details>", page.index("trial 4")) < page.index("trial 5")
