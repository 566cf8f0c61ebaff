"""What a node must never do. A test that saw it has no second try (docs/adr/0021)."""

from collections.abc import Iterator
from contextlib import contextmanager


class PromiseBroken(AssertionError):
    """Something was lost, kept in other bytes, or had its effect twice."""


@contextmanager
def promised() -> Iterator[None]:
    """An assertion that fails within is a broken promise. Also a decorator: `@promised()`."""
    try:
        yield
    except AssertionError as error:
        raise PromiseBroken(str(error)) from error
