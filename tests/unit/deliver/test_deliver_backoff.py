"""Back-off: grows, has jitter, is capped, and keeps the promise made for a PACS that returns."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.deliver.backoff import Backoff

backoffs = st.tuples(st.floats(0.01, 60), st.floats(0, 3600)).map(lambda pair: Backoff(pair[0], pair[0] + pair[1]))
attempts = st.integers(1, 10_000)
seeds = st.integers(0, 2**32)


@given(backoffs, attempts, seeds)
def test_a_delay_lies_between_half_the_ceiling_and_the_ceiling(backoff: Backoff, attempt: int, seed: int) -> None:
    ceiling = backoff.ceiling(attempt)
    assert 0 < ceiling / 2 <= backoff.delay(attempt, Random(seed)) <= ceiling <= backoff.cap


@given(backoffs, attempts)
def test_the_ceiling_never_shrinks_and_doubles_until_the_cap(backoff: Backoff, attempt: int) -> None:
    here, there = backoff.ceiling(attempt), backoff.ceiling(attempt + 1)
    assert there == min(2 * here, backoff.cap)


@given(backoffs, attempts, seeds)
def test_a_delay_is_a_function_of_attempt_and_random_source(backoff: Backoff, attempt: int, seed: int) -> None:
    assert backoff.delay(attempt, Random(seed)) == backoff.delay(attempt, Random(seed))


def test_waiting_series_do_not_return_as_one_wave() -> None:
    random = Random(1)
    delays = [Backoff().delay(8, random) for _ in range(100)]
    assert max(delays) - min(delays) > 10


@given(seeds, st.floats(0, 10))
def test_after_two_minutes_without_the_pacs_the_next_attempt_is_near(seed: int, connect: float) -> None:
    """Each attempt lasts up to the connection time-out of 10 s; the PACS is away for 120 s."""
    random, backoff = Random(seed), Backoff()
    now, attempt = 0.0, 0
    while now < 120:
        attempt += 1
        now += connect + backoff.delay(attempt, random)
    assert now - 120 <= 40
    assert attempt <= 12


@pytest.mark.parametrize(("first", "cap"), [(0, 1), (-1, 1), (2, 1)])
def test_nonsense_is_refused(first: float, cap: float) -> None:
    with pytest.raises(ValueError, match="back-off needs"):
        Backoff(first, cap)


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Backoff().delay(0, Random(0))
