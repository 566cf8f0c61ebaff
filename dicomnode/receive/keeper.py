"""One C-STORE request: look at it, keep it, say honestly what became of it. Knows nothing of the network."""

from collections.abc import Callable
from functools import lru_cache

from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.identity import identify
from dicomnode.receive.large import LargeInstance
from dicomnode.receive.statuses import Status
from dicomnode.receive.storage_classes import is_storage_class
from dicomnode.receive.store_request import Answer, Refusal, Refused, Sender, StoreRequest, answered, attest
from dicomnode.store.journal import Journal
from dicomnode.store.streamed import StreamedInstance

_storage_class = lru_cache(maxsize=1024)(is_storage_class)


class Keeper:
    """Puts instances into the journal. One for all associations; safe to use from many threads."""

    def __init__(self, journal: Journal, gate: Callable[[], Refusal | None]) -> None:
        """`gate` is asked before each instance: its refusal is answered with A700."""
        self._journal = journal
        self._gate = gate

    def keep(self, request: StoreRequest, sender: Sender, data_set: memoryview) -> Answer:
        """Answer one request. SUCCESS only after `Journal.append` returned. Never raises."""

        def kept() -> Answer:
            self._admit(request, sender)
            study_uid, series_uid = identify(request, data_set)
            # The hash is the store's to make, while the disk is already at work.
            receipt = attest(request, sender, study_uid, series_uid, len(data_set), "")
            location = self._journal.append(receipt, data_set)
            return Answer(Status.SUCCESS, "", location, study_uid, series_uid)

        return answered(kept)

    def large(self, request: StoreRequest, sender: Sender) -> LargeInstance:
        """Begin a request whose data set is too large for memory. Never raises."""

        def begun() -> StreamedInstance:
            self._admit(request, sender)
            return self._journal.stream(
                sop_class_uid=request.sop_class_uid,
                sop_instance_uid=request.sop_instance_uid,
                transfer_syntax_uid=request.transfer_syntax_uid,
                calling_aet=sender.calling_aet,
            )

        return LargeInstance(request, sender, begun)

    def _admit(self, request: StoreRequest, sender: Sender) -> None:
        """What can be said before the data set is looked at, the cheapest first."""
        if not sender.may_store:
            raise Refused(Status.NOT_AUTHORIZED, "this AE title may not store")
        if request.sop_class_uid != request.context_sop_class_uid:
            raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not that of the presentation context")
        if not _storage_class(request.sop_class_uid):
            raise Refused(Status.SOP_CLASS_NOT_SUPPORTED, "not a storage SOP class")
        if not is_usable_uid(request.sop_instance_uid):
            raise Refused(Status.INVALID_SOP_INSTANCE, "the SOP Instance UID is not a UID")
        refusal = self._gate()
        if refusal is not None:
            raise Refused(Status.OUT_OF_RESOURCES, refusal.reason)
