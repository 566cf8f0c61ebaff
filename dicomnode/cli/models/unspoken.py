"""Reading a hospital's files without repeating what is in them.

pydicom warns of broken elements with their values, UIDs and names among them, on stderr and in its log. They say
nothing that a reason for leaving a file out does not say, and must not be read on a screen or kept in a log.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unspoken() -> Iterator[None]:
    """Inside, pydicom's warnings are not shown and not logged."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
