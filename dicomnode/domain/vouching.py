"""What this node answers a modality that asks it to keep instances for good (PS3.4 Annex J, storage commitment as SCP).

A promise is given for an instance that is stored here, and that every destination its original goes to keeps as well;
where none of these can say so, this node itself keeps it. Nothing is promised on hope: who does not know yet, waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    DUPLICATE_TRANSACTION = 0x0131


class Onward(Enum):
    """How far one instance is on its way to one destination."""

    OPEN = "is on its way"
    SENT = "was taken, and may still be confirmed"
    KEPT = "was confirmed: by storage commitment, or by a C-FIND that named the instance"
    TAKEN = "was taken, by a destination that is never asked whether it keeps what it took"
    LOST = "will not arrive, or not be confirmed, unless somebody sees to it"


@dataclass(frozen=True)
class Forwarded:
    """One destination that an instance's original goes to. `why` completes LOST."""

    destination: str
    onward: Onward
    why: str = ""


@dataclass(frozen=True)
class Held:
    """What the index knows of an instance. `gone` as in `Stored`; `contested`: other content came, and is unsettled."""

    sop_class_uid: str
    gone: str = ""
    contested: bool = False
    forwarded: Sequence[Forwarded] = ()


@dataclass(frozen=True)
class Keep:
    """To be promised, if the stored bytes prove to be those that came. `here`: this node is who keeps it."""

    here: bool


@dataclass(frozen=True)
class Fail:
    """Not promised."""

    reason: FailureReason
    words: str


@dataclass(frozen=True)
class Wait:
    """Nobody can say yet."""

    words: str


Opinion = Keep | Fail | Wait


def judge(sop_class_uid: str, held: Held | None, *, arriving: bool) -> Opinion:
    """What is to be said of one instance that a modality listed with this SOP class.

    `held` is None for one that the index does not know; `arriving`: it is stored, and only not indexed yet.
    """
    if held is None:
        return Wait("it is not indexed yet") if arriving else Fail(FailureReason.NO_SUCH_INSTANCE, "it never came")
    if held.gone:
        damaged = held.gone == "damaged"
        reason = FailureReason.PROCESSING_FAILURE if damaged else FailureReason.NO_SUCH_INSTANCE
        return Fail(reason, f"its stored bytes are {held.gone}")
    if held.sop_class_uid != sop_class_uid:
        return Fail(FailureReason.CLASS_INSTANCE_CONFLICT, f"it is stored as {held.sop_class_uid}")
    if held.contested:
        return Fail(FailureReason.PROCESSING_FAILURE, "other content came under its UID, and is unsettled")
    return _onward(held.forwarded)


def _onward(forwarded: Sequence[Forwarded]) -> Opinion:
    by_state = {state: [each for each in forwarded if each.onward is state] for state in Onward}
    for each in by_state[Onward.LOST]:
        return Fail(FailureReason.PROCESSING_FAILURE, f"{each.destination}: {each.why}")
    for each in by_state[Onward.OPEN] + by_state[Onward.SENT]:
        return Wait(f"{each.destination}: it {each.onward.value}")
    return Keep(here=not forwarded or bool(by_state[Onward.TAKEN]))


def too_late(opinions: Mapping[str, Opinion]) -> dict[str, Opinion]:
    """The same when no more time is left: what still waits has failed."""
    failure = FailureReason.PROCESSING_FAILURE
    return {
        uid: Fail(failure, f"time ran out: {opinion.words}") if isinstance(opinion, Wait) else opinion
        for uid, opinion in opinions.items()
    }
