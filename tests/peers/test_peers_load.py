"""More work than devices: what waits for the night, what is left at the originals, and that receiving never depends."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.queue import house, rule

from dicomnode.cli.bench.ledger_rows import fill
from dicomnode.db.database import Database
from dicomnode.settings import load_settings

pytestmark = [pytest.mark.peers, pytest.mark.torch]


def hours(first: int, last: int) -> dict[str, str]:
    """Off-peak hours, counted from now, in the environment of a node."""
    now = datetime.now(UTC)
    window = "-".join(f"{now + timedelta(hours=hour):%H:%M}" for hour in (first, last))
    return {"DICOMNODE_ENGINE__OFF_PEAK": window, "DICOMNODE_ENGINE__TIME_ZONE": "UTC"}


def test_off_peak_work_waits_for_its_hours_and_other_work_does_not(tmp_path: Path) -> None:
    rules = [rule("tonight", "passthrough", priority="off-peak"), rule("plain", "passthrough")]
    with house(tmp_path, *rules, env=hours(2, 4)) as ours:
        tonight, plain = ours.send("tonight"), ours.send("plain")
        assert ours.wait_derived(plain)
        waits = ours.job(tonight)
        assert waits["state"] == "ready"
        assert waits["waits_for"].startswith("the off-peak hours ")
        ours.assert_originals_alone(tonight)
        ours.node.env.update(hours(-1, 1))
        ours.node.restart()
        assert ours.wait_derived(tonight)


def test_what_would_wait_too_long_is_left_at_the_originals_if_its_rule_says_so(tmp_path: Path) -> None:
    rules = [rule("behind the gate", "gated"), rule("now or never", "passthrough", on_overload="originals")]
    with house(tmp_path, *rules, max_backlog=2) as ours:
        with ours.gate_shut():
            runs = ours.send("behind the gate")
            ours.wait_entered()
            waiting = [ours.send("behind the gate") for _ in range(2)]
            for sent in waiting:
                assert ours.job(sent)["state"] == "ready"
            turned_away = ours.send("now or never")
            decision = ours.decision(turned_away)
            also_waits = ours.send("behind the gate")
            assert ours.job(also_waits)["state"] == "ready"
        reason = "2 jobs wait for one device: engine.max_backlog is 2 for each"
        assert decision["outcome"] == f"matches, but overloaded: originals only, because {reason}"
        assert decision["became"] == "originals only"
        for sent in (runs, *waiting, also_waits):
            assert ours.wait_derived(sent)
        ours.assert_originals_alone(turned_away)


def test_nothing_received_is_refused_however_much_waits_for_a_device(tmp_path: Path) -> None:
    with house(tmp_path, rule("plain", "passthrough"), devices=[]) as ours:
        database = Database(load_settings(ours.node.config).database.url)
        fill(database, ready=100_000)
        database.close()
        sent = ours.send("plain")
        ours.wait_originals(sent)
        assert ours.decision(sent)["outcome"] == "matches: passthrough"
        assert ours.decision(sent)["became"] == "ready"
