"""A C-STORE request, who sends it, and what it may be answered."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dicomnode.domain.instance import Location, Receipt
from dicomnode.receive.statuses import Status
from dicomnode.store.errors import StoreError

LOGGER = logging.getLogger(__name__)


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
    may_store: bool = True


@dataclass(frozen=True)
class StoreRequest:
    """A C-STORE-RQ: the UIDs of its command, and its presentation context."""

    sop_class_uid: str
    sop_instance_uid: str
    context_sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True)
class Answer:
    """The status to give; with SUCCESS the place of the instance, else the reason. Never holds patient data."""

    status: Status
    reason: str = ""
    location: Location | None = None
    study_uid: str = ""
    series_uid: str = ""


class Refused(Exception):
    """This request is answered with `status`, for this reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def answered(attempt: Callable[[], Answer]) -> Answer:
    """What became of it, whatever it raised."""
    try:
        return attempt()
    except Refused as refused:
        return Answer(refused.status, refused.reason)
    except StoreError as error:
        return Answer(Status.OUT_OF_RESOURCES, f"the store cannot keep it: {error}")
    except Exception:
        LOGGER.exception("a C-STORE failed for a reason of our own")
        return Answer(Status.OUT_OF_RESOURCES, "an error of the node's own")


def refusal_of(step: Callable[[], None]) -> Answer | None:
    """The answer to give because this step failed, or None."""

    def attempt() -> Answer:
        step()
        return Answer(Status.SUCCESS)

    answer = answered(attempt)
    return None if answer.status is Status.SUCCESS else answer


def attest(request: StoreRequest, sender: Sender, study_uid: str, series_uid: str, length: int, sha256: str) -> Receipt:
    """What is written beside the instance, dated now."""
    return Receipt(
        sop_class_uid=request.sop_class_uid,
        sop_instance_uid=request.sop_instance_uid,
        study_uid=study_uid,
        series_uid=series_uid,
        transfer_syntax_uid=request.transfer_syntax_uid,
        length=length,
        sha256=sha256,
        calling_aet=sender.calling_aet,
        called_aet=sender.called_aet,
        peer=sender.peer,
        association=sender.association,
        received_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
