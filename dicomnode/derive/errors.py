"""Why there is no derived instance."""


class CannotDerive(Exception):
    """No derived instance can be made of this source, and why, in words for an administrator."""


class BrokenInstance(Exception):
    """A derived instance that breaks its own rules: a fault of the writer, not of the source."""
