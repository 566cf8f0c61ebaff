"""Why an instance could not be made durable."""


class StoreError(Exception):
    """The store did not keep what it was given: nothing of it may be acknowledged."""


class StoreFull(StoreError):
    """No room: the low-water mark, the file system, its inodes or a quota. Later it may work again."""


class StoreFailed(StoreError):
    """The medium failed: a write, a truncation or a data sync returned an error that is not lack of room."""
