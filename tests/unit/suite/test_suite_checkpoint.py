"""pynetdicom's reactor, told to pause, is not past the place where it pauses."""

from types import SimpleNamespace

from pynetdicom import AE
from support.checkpoint import Checkpoint


def test_every_association_has_it() -> None:
    entity = AE()
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", 9)
    assert isinstance(association._reactor_checkpoint, Checkpoint)


def test_who_has_passed_does_not_look_paused() -> None:
    """The reactor says that it is paused, and passes; it may be put to sleep right there."""
    association = SimpleNamespace(_is_paused=True)
    checkpoint = Checkpoint(association)
    checkpoint.wait()
    checkpoint.clear()
    assert not association._is_paused
