"""The upper layer's state machine, as far as an acceptor that never asks for anything goes through it (PS3.8 9.2).

Of the thirteen states four are left, because the requests that lead to the others are never made: this side opens no
association, releases none, and answers within the state in which it was asked.
"""

from dataclasses import dataclass
from enum import Enum

from dicomnode.receive.pdu import PduType


class State(Enum):
    """Where a connection stands."""

    AWAITING_REQUEST = "Sta2"
    """Transport connection open; waiting for A-ASSOCIATE-RQ. Held by the lobby."""
    ESTABLISHED = "Sta6"
    """Ready for data transfer. A thread of its own serves it."""
    AWAITING_CLOSE = "Sta13"
    """Our last word is said; waiting for the peer to close. Back in the lobby."""
    IDLE = "Sta1"
    """No connection."""


class Event(Enum):
    """What may happen to a connection."""

    REQUEST = "A-ASSOCIATE-RQ"
    DATA = "P-DATA-TF"
    RELEASE = "A-RELEASE-RQ"
    ABORT = "A-ABORT"
    OTHER_PDU = "A-ASSOCIATE-AC, A-ASSOCIATE-RJ or A-RELEASE-RP"
    UNKNOWN_PDU = "a PDU of no known type"
    INVALID_PDU = "a PDU that is malformed or longer than allowed"
    CLOSED = "the peer closed the connection"
    TIME_IS_UP = "a deadline passed"
    TOLD_TO_STOP = "the node stops"


class Action(Enum):
    """What is done about it."""

    NEGOTIATE = "answer A-ASSOCIATE-AC or A-ASSOCIATE-RJ"
    TAKE = "take the presentation data values"
    CONFIRM_RELEASE = "answer A-RELEASE-RP"
    ABORT_UNEXPECTED = "send A-ABORT, reason 2: unexpected PDU"
    ABORT_UNRECOGNIZED = "send A-ABORT, reason 1: unrecognized PDU"
    ABORT_INVALID = "send A-ABORT, reason 6: invalid PDU parameter value"
    ABORT_ORDERED = "send A-ABORT, no reason"
    IGNORE = "read over it"
    CLOSE = "close the connection"


@dataclass(frozen=True)
class Arrow:
    """One transition: what is done and where it leads. `why` names the standard's action and our reason to differ."""

    action: Action
    to: State
    why: str


_WAITING, _OPEN, _ENDING, _NONE = State.AWAITING_REQUEST, State.ESTABLISHED, State.AWAITING_CLOSE, State.IDLE

ARROWS: dict[tuple[State, Event], Arrow] = {
    (_WAITING, Event.REQUEST): Arrow(Action.NEGOTIATE, _OPEN, "AE-6 to AE-8; a rejection leads to Sta13 instead"),
    (_WAITING, Event.DATA): Arrow(Action.ABORT_UNEXPECTED, _ENDING, "AA-1"),
    (_WAITING, Event.RELEASE): Arrow(Action.ABORT_UNEXPECTED, _ENDING, "AA-1"),
    (_WAITING, Event.OTHER_PDU): Arrow(Action.ABORT_UNEXPECTED, _ENDING, "AA-1"),
    (_WAITING, Event.UNKNOWN_PDU): Arrow(Action.ABORT_UNRECOGNIZED, _ENDING, "AA-1: no DICOM, most likely"),
    (_WAITING, Event.INVALID_PDU): Arrow(Action.ABORT_INVALID, _ENDING, "AA-1"),
    (_WAITING, Event.ABORT): Arrow(Action.CLOSE, _NONE, "AA-2"),
    (_WAITING, Event.CLOSED): Arrow(Action.CLOSE, _NONE, "AA-5: a port check, as load balancers do"),
    (_WAITING, Event.TIME_IS_UP): Arrow(Action.CLOSE, _NONE, "AA-2: ARTIM expired"),
    (_WAITING, Event.TOLD_TO_STOP): Arrow(Action.CLOSE, _NONE, "nothing was promised yet"),
    (_OPEN, Event.DATA): Arrow(Action.TAKE, _OPEN, "DT-2"),
    (_OPEN, Event.RELEASE): Arrow(Action.CONFIRM_RELEASE, _ENDING, "AR-2, AR-4: nothing is left to be done first"),
    (_OPEN, Event.ABORT): Arrow(Action.CLOSE, _NONE, "AA-3"),
    (_OPEN, Event.REQUEST): Arrow(Action.ABORT_UNEXPECTED, _ENDING, "AA-8"),
    (_OPEN, Event.OTHER_PDU): Arrow(Action.ABORT_UNEXPECTED, _ENDING, "AA-8"),
    (_OPEN, Event.UNKNOWN_PDU): Arrow(Action.ABORT_UNRECOGNIZED, _ENDING, "AA-8"),
    (_OPEN, Event.INVALID_PDU): Arrow(Action.ABORT_INVALID, _ENDING, "AA-8"),
    (_OPEN, Event.CLOSED): Arrow(Action.CLOSE, _NONE, "AA-4"),
    (_OPEN, Event.TIME_IS_UP): Arrow(Action.ABORT_ORDERED, _ENDING, "AA-1: a stalled peer holds no place for ever"),
    (_OPEN, Event.TOLD_TO_STOP): Arrow(Action.ABORT_ORDERED, _ENDING, "AA-1: after the time to finish"),
    (_ENDING, Event.INVALID_PDU): Arrow(Action.IGNORE, _ENDING, "AA-7"),
    (_ENDING, Event.CLOSED): Arrow(Action.CLOSE, _NONE, "AR-5"),
    (_ENDING, Event.TIME_IS_UP): Arrow(Action.CLOSE, _NONE, "AA-2: ARTIM expired"),
    (_ENDING, Event.TOLD_TO_STOP): Arrow(Action.CLOSE, _NONE, "nothing is left to be said"),
    **{
        (_ENDING, event): Arrow(Action.IGNORE, _ENDING, "AA-6, AA-7: whatever comes now is not looked at")
        for event in (Event.REQUEST, Event.DATA, Event.RELEASE, Event.ABORT, Event.OTHER_PDU, Event.UNKNOWN_PDU)
    },
}  # fmt: skip

_OF_TYPE: dict[int, Event] = {
    PduType.ASSOCIATE_RQ: Event.REQUEST,
    PduType.P_DATA_TF: Event.DATA,
    PduType.RELEASE_RQ: Event.RELEASE,
    PduType.ABORT: Event.ABORT,
    PduType.ASSOCIATE_AC: Event.OTHER_PDU,
    PduType.ASSOCIATE_RJ: Event.OTHER_PDU,
    PduType.RELEASE_RP: Event.OTHER_PDU,
}


def event_of(pdu_type: int) -> Event:
    """What the arrival of a PDU of this type is."""
    return _OF_TYPE.get(pdu_type, Event.UNKNOWN_PDU)
