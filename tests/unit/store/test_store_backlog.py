"""The bound on what is stored and not yet indexed."""

import time
from dataclasses import dataclass

from dicomnode.store.backlog import STALLED_SECONDS, Backlog


@dataclass
class Counted:
    """Figures as the board has them, without a board."""

    acknowledged: int = 0
    indexed: int = 0
    failing_since: float | None = None


@dataclass
class Run:
    """A run of the index as far as the backlog sees it."""

    instances: int = 0


def test_nothing_is_taken_beyond_the_bound_until_the_index_has_caught_up() -> None:
    counted = Counted(acknowledged=9)
    backlog = Backlog(counted, 10)
    assert backlog.refusal() is None
    counted.acknowledged = 10
    assert "behind" in str(backlog.refusal())
    backlog.run_begins(Run(10))
    backlog.run_ended()
    assert backlog.size == 0
    assert backlog.refusal() is None


def test_the_bound_is_seen_by_whoever_has_the_figures() -> None:
    counted = Counted(acknowledged=10)
    assert Backlog(counted, 10).refusal() is not None
    counted.indexed = 1
    assert Backlog(counted, 10).refusal() is None


def test_an_index_that_fails_for_long_closes_the_gate_and_one_that_works_opens_it() -> None:
    counted = Counted(acknowledged=5)
    backlog = Backlog(counted, 100)
    backlog.run_begins(Run(2))
    backlog.run_failed()
    assert backlog.size == 3, "what was indexed before the failure counts"
    assert backlog.refusal() is None, "one failure is no stall"
    counted.failing_since = time.monotonic() - STALLED_SECONDS - 1
    backlog.run_begins(Run(0))
    backlog.run_failed()
    assert backlog.refusal() == "the index cannot be written"
    backlog.run_begins(Run(3))
    backlog.run_ended()
    assert backlog.refusal() is None
    assert backlog.size == 0


def test_what_comes_during_a_run_waits_for_the_next() -> None:
    counted = Counted(acknowledged=5)
    backlog = Backlog(counted, 100)
    backlog.run_begins(Run(5))
    counted.acknowledged = 9
    backlog.run_ended()
    assert backlog.size == 4


def test_a_long_run_lets_senders_go_on_as_it_advances() -> None:
    counted = Counted(acknowledged=10)
    backlog, run = Backlog(counted, 10), Run()
    backlog.run_begins(run)
    assert backlog.refusal() is not None
    run.instances = 4
    backlog.progressed()
    assert backlog.refusal() is None
    counted.acknowledged = 12
    run.instances = 12
    backlog.run_ended()
    assert backlog.size == 0
    backlog.progressed()
    counted.acknowledged = 13
    backlog.progressed()
    assert backlog.size == 1, "what an earlier run took over is not counted again"


def test_a_process_killed_before_it_counted_leaves_no_error_in_the_figures() -> None:
    """Its last instance is indexed and was never counted; a damaged copy was counted and is never indexed."""
    counted = Counted(acknowledged=5)
    backlog = Backlog(counted, 100)
    backlog.run_begins(Run(6))
    backlog.run_ended()
    assert backlog.size == 0
    counted.acknowledged = 8
    assert backlog.size == 3
    backlog.run_begins(Run(2))
    backlog.run_ended()
    assert backlog.size == 0
