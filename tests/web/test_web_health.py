"""What monitors ask, and anybody else who reaches the port."""

import threading
from pathlib import Path

import pytest
from support.webapp import client, headless

from dicomnode.web.api import health


def test_rows_are_counted_for_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to sign in for this, and every answer costs a look at all deliveries and jobs."""
    began, goes_on, counted = threading.Event(), threading.Event(), []

    def count(_: object) -> None:
        counted.append(1)
        began.set()
        goes_on.wait(60)

    monkeypatch.setattr(health, "refresh_gauges", count)
    browser = client(headless(tmp_path))
    first = threading.Thread(target=browser.get, args=("/metrics",))
    first.start()
    assert began.wait(60)
    try:
        assert [browser.get("/metrics").status_code for _ in range(5)] == [200] * 5
    finally:
        goes_on.set()
        first.join()
    assert len(counted) == 1
