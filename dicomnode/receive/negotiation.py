"""Presentation contexts: accept every storage class that is proposed, in the transfer syntax that serves best.

pynetdicom's unrestricted storage service takes the first transfer syntax of each proposal, and passes over storage
classes that it counts among other services (hanging protocols, implant templates). Both are put right from outside,
in the one moment between a request's arrival and its negotiation (EVT_REQUESTED): each proposal's transfer syntaxes
are put in our order, and every storage class proposed becomes one that is supported.
"""

from collections.abc import Iterable

from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification

from dicomnode.receive.storage_classes import is_storage_class
from dicomnode.receive.transfer_syntaxes import by_preference


def prefer_transfer_syntaxes(proposed: Iterable[PresentationContext]) -> None:
    """Put the transfer syntaxes of each proposed context in our order of preference, in place."""
    for context in proposed:
        context.transfer_syntax = by_preference(context.transfer_syntax)


def supported_contexts(proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
    """What this node supports of what is proposed: Verification, and every storage class in any transfer syntax."""
    syntaxes: dict[str, list[str]] = {}
    for context in proposed:
        uid = str(context.abstract_syntax)
        if uid == Verification or is_storage_class(uid):
            syntaxes.setdefault(uid, []).extend(context.transfer_syntax)
    return [build_context(uid, by_preference(dict.fromkeys(found))) for uid, found in syntaxes.items()]
