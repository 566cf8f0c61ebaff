"""Asking one destination whether it keeps what it took: by storage commitment, by C-FIND, or one after the other.

The row of a transaction is committed before its N-ACTION goes out, so that no report can come too early. What comes
over the association of the request is kept as a row before it is answered, like what comes on any other.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import SystemRandom

from dicomnode.db.database import now as database_now
from dicomnode.db.models import Delivery
from dicomnode.db.repositories import commitments, confirmations
from dicomnode.deliver.association import Association, Syntax
from dicomnode.deliver.backoff import Backoff
from dicomnode.deliver.commitment import COMMITMENT, Reference, ask, reports
from dicomnode.deliver.confirmation import Loss, ask_later, counts_from, send_again, settle, tell, vouch
from dicomnode.deliver.conversation import Conversation
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.find import QUERY, Endless, FindFailed, find
from dicomnode.deliver.outcome import AssociationFailed, FailureKind, refused_context
from dicomnode.domain.commitment import CommitmentReport
from dicomnode.domain.site import Destination as Entry
from dicomnode.flow.commitment.reports import keep_report
from dicomnode.flow.context import Flow
from dicomnode.observe import checkpoint

_RANDOM = SystemRandom()
_NOT_NAMED = Loss("its C-FIND does not name it (PS3.4 C.4.1)")


@dataclass(frozen=True)
class Case:
    """A delivery, and what its destination took of it and has not vouched for yet."""

    id: int
    instances: Sequence[Reference]
    asked: int
    """Requests for storage commitment that count and did not bring the answer."""
    where: tuple[str, str]
    """Study and series of its instances."""
    at: datetime
    """When it was looked up, on the database's clock: what is sent later is not meant."""


@dataclass(frozen=True)
class Trouble:
    """Why the destination said nothing. After `patience` times in a row it is not asked any more, if it need not be."""

    words: str
    patience: int
    is_away: bool = False
    """It cannot be reached at all: no need to try another way."""


class Inquiry:
    """Of deliveries to one destination that `confirmations.take` gave this node. Setting `stop` ends it soon."""

    def __init__(self, flow: Flow, entry: Entry, stop: threading.Event) -> None:
        self._flow, self._mode, self._stop = flow, entry.confirm, stop
        self._destination = Destination.of(entry, flow.settings.tls)
        self._settings = flow.settings.confirmation
        delivery = flow.settings.delivery
        self._timeouts = Timeouts(connect=delivery.connect_timeout, dimse=delivery.response_timeout)
        self._backoff = Backoff(self._settings.backoff_first, self._settings.backoff_cap)
        self._awaited: set[str] = set()
        self._reports_here = True

    def run(self, ids: Sequence[int]) -> None:
        """Ask about these deliveries, and write down what came of it. Raises database errors."""
        cases = [case for id in ids if (case := self._case(id)) is not None]
        to_ask = [case for case in cases if self._may_request(case)]
        left, trouble = self._request(to_ask) if to_ask else ([], None)
        if trouble is not None and (trouble.is_away or self._insists):
            self._put_off(left, trouble)
            left = []
        to_find = [case for case in cases if not self._may_request(case)] + left
        if self._stop.is_set():
            self._let_go(to_find)
        elif to_find:
            self._look(to_find)

    @property
    def _insists(self) -> bool:
        """Whether the site data name the one way in which this destination confirms."""
        return self._mode != "auto"

    def _may_request(self, case: Case) -> bool:
        return self._mode == "commitment" or (self._mode == "auto" and case.asked < self._settings.requests)

    def _case(self, id: int) -> Case | None:
        """None: there is nothing to ask (any more)."""
        with self._flow.database.write() as session:
            row = confirmations.lock(session, id)
            if row.state != "sent" or settle(session, row, self._flow.node):
                return None
            where = confirmations.place(session, row)
            if where is None:
                row.confirm_at = None
                return None
            commitments.lapse(session, id, "no report came in time")
            asked = commitments.asked_since(session, id, counts_from(row))
            return Case(id, confirmations.unconfirmed(session, id), asked, where, database_now(session))

    def _request(self, cases: Sequence[Case]) -> tuple[list[Case], Trouble | None]:
        """Request storage commitment. Returns those for which that could not be done, and why."""
        left = list(cases)
        try:
            association = self._associate(COMMITMENT)
        except AssociationFailed as failure:
            return left, self._absent(failure)
        try:
            conversation = Conversation(association, self._timeouts.dimse, reports(self._heard))
            while left:
                if refusal := self._ask(conversation, left[0]):
                    return left, Trouble(refusal, self._settings.requests)
                left.pop(0)
                self._listen(conversation)
            association.release()
        except (AssociationFailed, ValueError) as failure:
            words = f"{self._destination} did not answer the request for storage commitment: {failure}"
            return left, Trouble(words, self._settings.requests)
        finally:
            association.abort()
        return left, None

    def _ask(self, conversation: Conversation, case: Case) -> str:
        """N-ACTION for one delivery. Why it is refused; empty where it is not, and a report is to come."""
        wait = timedelta(seconds=self._settings.report_seconds * 2 ** min(case.asked, 6))
        with self._flow.database.write() as session:
            row = confirmations.lock(session, case.id)
            uids = [uid for _, uid in case.instances]
            transaction = commitments.ask(session, case.id, row.destination, self._flow.node, uids, wait)
            row.confirm_at, row.confirmation = transaction.due_at, f"{row.destination} has not reported yet"
            if self._insists and case.asked == self._settings.requests:
                words = f"no report came on {case.asked} requests for storage commitment"
                tell(session, row, words, self._flow.node, given_up=False)
        checkpoint("asking")
        uid = transaction.transaction_uid
        self._awaited.add(uid)  # before it is asked: the report may come before the response
        try:
            status = ask(conversation, uid, case.instances)
        except (AssociationFailed, ValueError) as failure:
            self._ended(uid, "lapsed", f"N-ACTION had no answer: {failure}")
            raise
        checkpoint("asked")
        if status == 0:
            return ""
        refusal = f"{self._destination} answered N-ACTION with status {status:04X}"
        self._ended(uid, "refused", refusal)
        return refusal

    def _ended(self, transaction_uid: str, state: str, reason: str) -> None:
        self._awaited.discard(transaction_uid)
        with self._flow.database.write() as session:
            commitments.move(session, transaction_uid, state, reason)

    def _listen(self, conversation: Conversation) -> None:
        """Hear the report over the association of its request, before the next request: some peers mix them up.

        One that did not report here in time does so on associations of its own, and is not waited for again.
        """
        until = time.monotonic() + self._settings.same_association_seconds
        while self._reports_here and self._awaited:
            seconds = until - time.monotonic()
            self._reports_here = seconds > 0 and conversation.hear(seconds)

    def _heard(self, event_type: int, report: CommitmentReport) -> None:
        title = self._destination.ae_title
        with self._flow.database.write() as session:
            keep_report(session, event_type, report, title, f"to {self._destination.name}")
        self._awaited.discard(report.transaction_uid)

    def _look(self, cases: Sequence[Case]) -> None:
        """Ask by C-FIND."""
        left = list(cases)
        try:
            association = self._associate(QUERY)
        except AssociationFailed as failure:
            self._put_off(left, self._absent(failure))
            return
        try:
            conversation = Conversation(association, self._timeouts.dimse)
            while left:
                self._compare(left[0], _found(conversation, left[0]))
                left.pop(0)
            association.release()
        except Endless as failure:  # what is long may be this series alone
            self._put_off(left[:1], self._silent(failure))
            self._let_go(left[1:])
        except AssociationFailed as failure:
            self._put_off(left, self._silent(failure))
        except FindFailed as failure:
            patience = self._settings.attempts if failure.transient else 1
            self._put_off(left, Trouble(f"{self._destination}: {failure}", patience))
        finally:
            association.abort()

    def _compare(self, case: Case, found: set[str]) -> None:
        with self._flow.database.write() as session:
            row = confirmations.lock(session, case.id)
            vouch(session, row, found, "query", self._flow.node)
            missing = [uid for _, uid in case.instances if uid not in found]
            if not missing or row.state != "sent":
                return
            allowed = self._settings.requests
            if row.confirm_attempts + 1 < allowed:  # what was stored a moment ago may not be in its index yet
                words = f"{self._destination} does not name {len(missing)} of its instances by C-FIND"
                ask_later(session, row, self._delay(row), words)
            else:
                send_again(session, row, dict.fromkeys(missing, _NOT_NAMED), case.at, allowed, self._flow.node)

    def _put_off(self, cases: Sequence[Case], trouble: Trouble) -> None:
        """Ask later; where nobody insists, and it was in vain too often, never again."""
        if self._stop.is_set():
            self._let_go(cases)
            return
        for case in cases:
            with self._flow.database.write() as session:
                row = confirmations.lock(session, case.id)
                known = row.confirmation
                ask_later(session, row, self._delay(row), trouble.words)
                if row.confirm_attempts >= trouble.patience and (known != trouble.words or not self._insists):
                    tell(session, row, trouble.words, self._flow.node, given_up=not self._insists)

    def _let_go(self, cases: Sequence[Case]) -> None:
        """The destination was not asked about these: another node, or this one later, may do it at once."""
        with self._flow.database.write() as session:
            for case in cases:
                row = confirmations.lock(session, case.id)
                if row.state == "sent":
                    row.confirm_at = database_now(session)

    def _delay(self, row: Delivery) -> float:
        return self._backoff.delay(row.confirm_attempts + 1, _RANDOM)

    def _associate(self, syntax: Syntax) -> Association:
        """Raises AssociationFailed, also where the presentation context is refused."""
        title = self._flow.settings.dicom.ae_title
        association = Association.request(self._destination, title, [syntax], self._timeouts, self._stop)
        if syntax in association.contexts:
            return association
        association.release()
        words = refused_context(self._destination.ae_title, *syntax, association.refused[syntax]).detail
        raise AssociationFailed(FailureKind.REJECTED, words, transient=False)

    def _silent(self, failure: AssociationFailed) -> Trouble:
        return Trouble(f"{self._destination} did not answer C-FIND: {failure}", self._settings.requests)

    def _absent(self, failure: AssociationFailed) -> Trouble:
        if failure.transient:
            return Trouble(failure.reason, self._settings.attempts, is_away=True)
        refused_context_alone = failure.kind is FailureKind.REJECTED
        return Trouble(failure.reason, 1 if refused_context_alone else self._settings.requests)


def _found(conversation: Conversation, case: Case) -> set[str]:
    """Those of its instances that the destination names; of a list that some peers cut short, the rest by its UIDs."""
    wanted = {uid for _, uid in case.instances}
    found = find(conversation, *case.where, among=wanted)
    return found | find(conversation, *case.where, wanted - found) if found != wanted else found
