"""`bench web` on a small database: every list, every filter, and what each is said to find is what it finds."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.webapp import client, headless

from dicomnode.cli.bench import web_run
from dicomnode.cli.bench.web_asks import MANY, NONE, ONE, asks
from dicomnode.cli.bench.web_rows import Size, fill
from dicomnode.cli.bench.web_run import Quantiles, measure

SIZE = Size(series=200, instances=400, events=2000)


def wanted() -> list:  # type: ignore[type-arg]
    return asks(SIZE, (datetime.now(UTC) - timedelta(days=182)).isoformat())


def test_what_each_request_finds_is_what_is_said(tmp_path: Path) -> None:
    node = headless(tmp_path)
    fill(node.flow.database, SIZE, lambda table: None)
    browser = client(node, "admin")
    for ask in wanted():
        answer = browser.get(ask.path)
        assert answer.status_code == 200, ask
        if "=" not in ask.what:
            continue
        body = re.search(r"<tbody.*?</tbody>", answer.text, re.S)
        rows = len(re.findall(r"<tr[ >]", body[0])) if body else 0
        least, most = {NONE: (0, 0), ONE: (1, 2), MANY: (2, 100)}[ask.hits]
        assert least <= rows <= most, (ask, rows)


@pytest.mark.parametrize(("milliseconds", "p95"), [(range(1, 101), 95), ([7], 7), ([1, 2], 2)])
def test_quantiles(milliseconds: list[int], p95: float) -> None:
    found = Quantiles.of([each / 1000 for each in milliseconds])
    assert (found.p95, found.worst) == (pytest.approx(p95), pytest.approx(max(milliseconds)))


def test_users_ask_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_run, "START_SECONDS", 150.0)
    node = headless(tmp_path)
    fill(node.flow.database, SIZE, lambda table: None)
    asked = wanted()[:3]
    times = measure(node.flow.settings, asked, users=2, rounds=1, think=0.0, progressed=lambda count: None)
    assert times.failed == []
    assert {ask: len(seconds) for ask, seconds in times.by_ask.items()} == dict.fromkeys(asked, 2)
