"""Whether a database refuses a value, now and whenever it is asked again; not whether it can be reached just now."""

from sqlalchemy.exc import DataError, DBAPIError

_DATA, _LIMIT = "22", "54"
"""Classes of SQLSTATE: data exception, and program limit exceeded (a key too long for its index)."""


def refused(error: Exception) -> str:
    """Why the database takes no such value, as the name of the driver's error: its text may quote a patient.

    Empty where the error says nothing of the value: a lost connection, a lock, a statement that took too long.
    """
    if isinstance(error, DBAPIError):
        of_value = isinstance(error, DataError) or str(getattr(error.orig, "sqlstate", "")).startswith((_DATA, _LIMIT))
        return type(error.orig).__name__ if of_value else ""
    # Before a statement goes out: text that has no UTF-8, a number that no column holds.
    return type(error).__name__ if isinstance(error, UnicodeEncodeError | OverflowError) else ""
