"""C-FIND at image level: which instances does a destination say it has? (PS3.4 C.4.1, Study Root)

The sender uses `find_instances` where a C-STORE went unanswered and its repetition is answered with 0111, "duplicate
SOP instance": an instance that the destination names is stored.
"""

import threading
import time
from collections.abc import Collection, Iterable, Iterator

from pydicom import Dataset
from pynetdicom.dsutils import encode

from dicomnode.deliver.association import Association, Syntax
from dicomnode.deliver.conversation import IMPLICIT, Conversation
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, refused_context
from dicomnode.domain import command_set as dimse
from dicomnode.domain import data_set

STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
QUERY: Syntax = (STUDY_ROOT_FIND, IMPLICIT)

UIDS_PER_QUERY = 64
"""In one list of UIDs to match: a key of 4 KiB, which every peer should take."""

MOST_RESPONSES = 50_000
"""To one query: series reach some ten thousand instances (perfusion CT). Not a multiple of what was asked, because a
peer that does not heed a list of UIDs names the whole series for each of its parts.
"""
INQUIRY_SECONDS = 600.0
"""For all queries of a `find`: a peer that names 100 instances a second gets through the longest series."""

_PENDING = (0xFF00, 0xFF01)
_TRANSIENT = {0xA700: "it is out of resources", 0xFE00: "it cancelled"}
_PERMANENT = {
    0xA900: "the query is not what its SOP class demands",
    0x0122: "it does not take this SOP class",
    0x0124: "this node may not query it",
    0x0211: "it does not know C-FIND",
    0x0212: "it did not agree to this use of C-FIND",
}
_SOP_INSTANCE_UID = 0x00080018
_DATA_SET, _MEDIUM = 0x0001, 0x0000


class FindFailed(Exception):
    """The peer answered a query with a failure (PS3.4 C.4.1.1.4). `transient`: whether trying again later can help."""

    def __init__(self, status: int) -> None:
        unable = "it is unable to process it" if status >> 12 == 0xC else "a status that is not known for C-FIND"
        words = _TRANSIENT.get(status) or _PERMANENT.get(status) or unable
        super().__init__(f"C-FIND was answered with {status:04X}: {words}")
        self.status, self.transient = status, status not in _PERMANENT


class Endless(AssociationFailed):
    """The responses to one query did not end within bounds: of other series the peer may well tell."""


def find_instances(
    destination: Destination,
    calling_aet: str,
    study_uid: str,
    series_uid: str,
    sop_uids: Iterable[str] = (),
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
) -> set[str]:
    """The SOP Instance UIDs that the destination names for a series; with `sop_uids`, only of these.

    Raises FindFailed for an answer that is no list, and AssociationFailed, permanent where the peer refuses the
    presentation context: nothing is known of the instances then.
    """
    association = Association.request(destination, calling_aet, [QUERY], timeouts, stop or threading.Event())
    try:
        if QUERY not in association.contexts:
            words = refused_context(destination.ae_title, *QUERY, association.refused[QUERY]).detail
            raise AssociationFailed(FailureKind.REJECTED, words, transient=False)
        found = find(Conversation(association, timeouts.dimse), study_uid, series_uid, sop_uids)
        association.release()
        return found
    finally:
        association.abort()


def find(
    conversation: Conversation,
    study_uid: str,
    series_uid: str,
    sop_uids: Iterable[str] = (),
    *,
    among: Collection[str] | None = None,
) -> set[str]:
    """As `find_instances`, over an association that is open. A list of UIDs is asked for in parts.

    With `among` the whole series is asked for, and what is not among these is forgotten as it comes. A peer that does
    not end within MOST_RESPONSES and INQUIRY_SECONDS is Endless, a transient AssociationFailed; the caller aborts.
    """
    listed = sorted(set(sop_uids))
    chunks = [listed[start : start + UIDS_PER_QUERY] for start in range(0, len(listed), UIDS_PER_QUERY)] or [[]]
    wanted = frozenset(listed) if listed else among
    deadline = time.monotonic() + INQUIRY_SECONDS
    found: set[str] = set()
    try:
        for chunk in chunks:
            named = _bounded(_query(conversation, study_uid, series_uid, chunk), deadline)
            found.update(uid for uid in named if wanted is None or uid in wanted)
    except ValueError as error:
        raise _broken(str(error)) from error
    return found


def _bounded(named: Iterator[str], deadline: float) -> Iterator[str]:
    """The same, until it is too much or too late."""
    for number, uid in enumerate(named, 1):
        if number > MOST_RESPONSES:
            reason = f"the peer broke the protocol: it answered one C-FIND with more than {MOST_RESPONSES} responses"
            raise Endless(FailureKind.PROTOCOL, reason, transient=True)
        if time.monotonic() >= deadline:
            reason = f"the peer was too slow: its responses to C-FIND did not end within {INQUIRY_SECONDS:g} s"
            raise Endless(FailureKind.TIMEOUT, reason, transient=True)
        yield uid


def _query(conversation: Conversation, study_uid: str, series_uid: str, sop_uids: list[str]) -> Iterator[str]:
    keys = Dataset()
    keys.QueryRetrieveLevel = "IMAGE"
    keys.StudyInstanceUID, keys.SeriesInstanceUID = study_uid, series_uid
    keys.SOPInstanceUID = sop_uids or ""
    for message in conversation.request(QUERY, _c_find_rq, bytes(encode(keys, True, True) or b"")):
        status = message.number(dimse.STATUS)
        if status in _PENDING:
            yield data_set.text(data_set.read(message.data_set, IMPLICIT, (_SOP_INSTANCE_UID,), ()), _SOP_INSTANCE_UID)
        elif status == 0:
            return
        else:
            raise FindFailed(status)


def _broken(reason: str) -> AssociationFailed:
    return AssociationFailed(FailureKind.PROTOCOL, f"the peer broke the protocol: {reason}", transient=True)


def _c_find_rq(message_id: int) -> bytes:
    """The command set of a C-FIND-RQ (PS3.7 9.3.2.1)."""
    return dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(STUDY_ROOT_FIND),
            dimse.COMMAND_FIELD: dimse.us(dimse.C_FIND_RQ),
            dimse.MESSAGE_ID: dimse.us(message_id),
            dimse.PRIORITY: dimse.us(_MEDIUM),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(_DATA_SET),
        }
    )
