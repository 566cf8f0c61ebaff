"""One C-STORE request: look at it, keep it, say honestly what became of it. Knows nothing of the network library."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO

from pydicom.dataset import Dataset

from dicomnode.domain.instance import Location, Receipt
from dicomnode.receive.statuses import Status
from dicomnode.receive.storage_classes import is_storage_class
from dicomnode.receive.uids import is_usable_uid
from dicomnode.store.errors import StoreError
from dicomnode.store.header import UnreadableHeader, read_header
from dicomnode.store.journal import Journal
from dicomnode.store.part10 import fingerprint

LOGGER = logging.getLogger(__name__)

STORE = "store"
"""The verb that an AE title needs for C-STORE, where its verbs are listed."""

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_STUDY = 0x0020000D
_SERIES = 0x0020000E


@dataclass(frozen=True)
class Refusal:
    """Why nothing is taken in just now, in a few words that a sender's log may show."""

    reason: str


@dataclass(frozen=True)
class Sender:
    """Who sends, as negotiated; `association` is unique for ever."""

    calling_aet: str
    called_aet: str
    peer: str
    association: str


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE-RQ: the UIDs of its command, its presentation context, and the data set as it came."""

    sop_class_uid: str
    sop_instance_uid: str
    context_sop_class_uid: str
    transfer_syntax_uid: str
    data_set: BytesIO


@dataclass(frozen=True)
class Answer:
    """The status to give; with SUCCESS the place of the instance, else the reason. Never holds patient data."""

    status: Status
    reason: str = ""
    location: Location | None = None
    study_uid: str = ""
    series_uid: str = ""


class _Refused(Exception):
    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Keeper:
    """Puts instances into the journal. One for all associations; safe to use from many threads."""

    def __init__(
        self,
        journal: Journal,
        gate: Callable[[], Refusal | None],
        verbs: Mapping[str, Collection[str]],
    ) -> None:
        """`verbs` lists what an AE title may do; one that is not listed may do everything."""
        self._journal = journal
        self._gate = gate
        self._verbs = verbs

    def keep(self, request: StoreRequest, sender: Sender) -> Answer:
        """Answer one request. SUCCESS only after `Journal.append` returned. Never raises."""
        try:
            self._admit(request, sender)
            study_uid, series_uid = _identify(request)
            receipt = _attest(request, sender, study_uid, series_uid)
            with request.data_set.getbuffer() as data_set:
                location = self._journal.append(receipt, data_set)
        except _Refused as refused:
            return Answer(refused.status, refused.reason)
        except StoreError as error:
            return Answer(Status.OUT_OF_RESOURCES, f"the store cannot keep it: {error}")
        except Exception:
            LOGGER.exception("a C-STORE failed for a reason of our own")
            return Answer(Status.OUT_OF_RESOURCES, "an error of the node's own")
        return Answer(Status.SUCCESS, "", location, study_uid, series_uid)

    def _admit(self, request: StoreRequest, sender: Sender) -> None:
        """What can be said before the data set is looked at, the cheapest first."""
        verbs = self._verbs.get(sender.calling_aet)
        if verbs is not None and STORE not in verbs:
            raise _Refused(Status.NOT_AUTHORIZED, "this AE title may not store")
        if request.sop_class_uid != request.context_sop_class_uid:
            raise _Refused(Status.SOP_CLASS_NOT_SUPPORTED, "the SOP class is not that of the presentation context")
        if not is_storage_class(request.sop_class_uid):
            raise _Refused(Status.SOP_CLASS_NOT_SUPPORTED, "not a storage SOP class")
        if not is_usable_uid(request.sop_instance_uid):
            raise _Refused(Status.INVALID_SOP_INSTANCE, "the SOP Instance UID is not a UID")
        refusal = self._gate()
        if refusal is not None:
            raise _Refused(Status.OUT_OF_RESOURCES, refusal.reason)


def _identify(request: StoreRequest) -> tuple[str, str]:
    """Study and Series Instance UID of the data set, once it is shown to be the instance that the command names."""
    request.data_set.seek(0)
    try:
        header = read_header(request.data_set, request.transfer_syntax_uid)
    except UnreadableHeader as error:
        raise _Refused(Status.CANNOT_UNDERSTAND, f"the data set: {error}") from None
    study_uid, series_uid = (_usable(header, tag, name) for tag, name in ((_STUDY, "Study"), (_SERIES, "Series")))
    if _usable(header, _SOP_CLASS, "SOP Class") != request.sop_class_uid:
        raise _Refused(Status.DOES_NOT_MATCH_SOP_CLASS, "the data set is of another SOP class than the command says")
    if _usable(header, _SOP_INSTANCE, "SOP Instance") != request.sop_instance_uid:
        raise _Refused(Status.DOES_NOT_MATCH_SOP_CLASS, "the data set is another instance than the command says")
    return study_uid, series_uid


def _usable(header: Dataset, tag: int, name: str) -> str:
    element = header.get_item(tag)
    value = element.value if element is not None else b""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    uid = text.rstrip("\0 ")
    if not is_usable_uid(uid):
        raise _Refused(Status.CANNOT_UNDERSTAND, f"the data set has no usable {name} UID")
    return uid


def _attest(request: StoreRequest, sender: Sender, study_uid: str, series_uid: str) -> Receipt:
    with request.data_set.getbuffer() as data_set:
        return Receipt(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            study_uid=study_uid,
            series_uid=series_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            length=len(data_set),
            sha256=fingerprint(data_set, request.transfer_syntax_uid),
            calling_aet=sender.calling_aet,
            called_aet=sender.called_aet,
            peer=sender.peer,
            association=sender.association,
            received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
