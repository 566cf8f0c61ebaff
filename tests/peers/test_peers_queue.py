"""What an operator does to the queue, from the command line to what the PACS holds: one test for each lever."""

import time
from collections.abc import Iterator

import pytest
from support.queue import House, house, rule

pytestmark = [pytest.mark.peers, pytest.mark.torch]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    rules = [
        rule("plain", "passthrough"),
        rule("behind the gate", "gated"),
        rule("hurried", "gated", deadline_minutes=30),
        rule("flaky", "flaky"),
    ]
    with house(tmp_path_factory.mktemp("queue"), *rules) as running:
        running.warm_up()
        yield running


def test_when_the_deadline_passes_the_originals_are_all_there_is(ours: House) -> None:
    """Of the job that runs when it passes, and of the one that waits behind it."""
    with ours.gate_shut():
        runs = ours.send("hurried")
        ours.wait_entered()
        waits = ours.send("hurried")
        assert ours.job(waits)["state"] == "ready"
        ours.pass_deadlines()
        assert ours.wait_state(waits, "expired")["reason"] == (
            "the deadline passed before it could start: originals only"
        )
        assert ours.job(runs)["state"] == "running"
    assert ours.wait_state(runs, "expired")["reason"] == "the deadline passed while it ran: originals only"
    assert ours.decision(waits)["became"].endswith("before it could start: originals only")
    story = [event["kind"] for event in ours.node.cli("series", "show", waits.uid)["story"]]
    assert "enhancement.expired" in story
    for sent in (runs, waits):
        ours.assert_originals_alone(sent)


def test_what_is_paused_waits_until_it_is_resumed(ours: House) -> None:
    ours.node.cli("jobs", "pause", "--reason", "service")
    sent = ours.send("plain")
    waits = ours.job(sent)
    time.sleep(1.0)  # a worker looks five times in this time
    assert (waits["state"], ours.job(sent)["state"]) == ("ready", "ready")
    assert waits["waits_for"].startswith("every job is paused by ")
    ours.assert_originals_alone(sent)
    ours.node.cli("jobs", "resume")
    assert ours.wait_derived(sent)


def test_what_is_cancelled_in_its_middle_leaves_the_originals_and_the_worker(ours: House) -> None:
    with ours.gate_shut():
        sent = ours.send("behind the gate")
        ours.wait_entered()
        ours.node.cli("jobs", "cancel", str(ours.job(sent)["id"]))
    after = ours.send("plain")
    ours.wait_derived(after)
    assert ours.job(sent)["state"] == "cancelled"
    ours.assert_originals_alone(sent)


def test_what_is_re_routed_is_done_by_the_other_pipeline_and_goes_where_the_rule_says(ours: House) -> None:
    with ours.gate_shut():
        blocks = ours.send("behind the gate")
        ours.wait_entered()
        sent = ours.send("behind the gate")
        waits = ours.job(sent)
        moved = ours.node.cli("jobs", "reroute", str(waits["id"]), "--to", "passthrough")
    assert "gated" in ours.wait_derived(blocks)
    assert "gated" not in ours.wait_derived(sent)
    jobs = {row["id"]: row for row in ours.node.cli("jobs", "list")}
    assert jobs[waits["id"]]["state"] == "cancelled"
    assert jobs[moved["to"][str(waits["id"])]]["pipeline"] == "passthrough"


def test_all_that_failed_is_retried_at_once(ours: House) -> None:
    ours.break_flaky()
    several = [ours.send("flaky") for _ in range(3)]
    for sent in several:
        assert "it is broken" in ours.wait_state(sent, "failed")["reason"]
    ours.mend_flaky()
    assert ours.node.cli("jobs", "retry", "--state", "failed", "--pipeline", "flaky")["count"] == 3
    for sent in several:
        assert ours.wait_derived(sent)


def test_the_stop_switch_leaves_nothing_but_the_originals_until_enhancing_goes_on(ours: House) -> None:
    with ours.gate_shut():
        runs = ours.send("behind the gate")
        ours.wait_entered()
        assert ours.node.cli("enhancing", "stop", "--reason", "ghosts in the liver")["stopped"]
    given_back = ours.wait_state(runs, "ready")
    assert given_back["waits_for"].startswith("enhancing is stopped by ")
    ours.node.restart()
    later = ours.send("plain")
    assert ours.decision(later)["outcome"] == "matches: passthrough"
    for sent in (runs, later):
        ours.assert_originals_alone(sent)
        assert ours.job(sent)["state"] == "ready"
    (finding,) = (one for one in ours.node.cli("doctor")["findings"] if one["kind"] == "held")
    assert "ghosts in the liver" in finding["message"]
    ours.node.cli("enhancing", "start")
    for sent in (runs, later):
        assert ours.wait_derived(sent)
        assert ours.job(sent)["failures"] == 0
