"""Ask a destination by C-ECHO, or what it takes, without sending anything.

Who asks in a browser reaches allowed networks alone, at an address that was checked, and waits for `IN_ALL` seconds at
most; who types commands waits as long as the node itself does.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from dicomnode.audit.events import record
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.deliver.probe import Taken
from dicomnode.deliver.probe import probe as ask_what_it_takes
from dicomnode.deliver.verification import Verified, verify
from dicomnode.desk.destinations.allowed import check_allowed
from dicomnode.desk.person import Person
from dicomnode.desk.refused import Refused
from dicomnode.domain import site
from dicomnode.flow import Flow

IN_ALL = 20.0
BROWSER = Timeouts(connect=5.0, acse=8.0, dimse=8.0)

Said = TypeVar("Said")
Ask = Callable[[Destination, Timeouts, threading.Event], Said]


@dataclass(frozen=True)
class Asked(Generic[Said]):
    """What a destination `said`, or why it said nothing; `at` whom that was, and how many seconds it took in all."""

    at: Destination
    seconds: float
    said: Said | None = None
    failure: str = ""


def echo(flow: Flow, person: Person, name: str) -> Asked[Verified]:
    """C-ECHO. Raises Refused where there is no such destination, or the browser may not reach it."""

    def ask(to: Destination, timeouts: Timeouts, stop: threading.Event) -> Verified:
        return verify(to, flow.settings.dicom.ae_title, timeouts=timeouts, stop=stop)

    asked = _ask(flow, person, name, ask)
    status = None if asked.said is None else asked.said.status
    _tell(flow, person, name, "by C-ECHO", asked.failure or ("it answers" if status == 0 else f"status {status:04X}"))
    return asked


def probe(flow: Flow, person: Person, name: str, sop_classes: Sequence[str]) -> Asked[Taken]:
    """Which SOP classes it takes in which transfer syntaxes. Raises Refused as `echo`."""

    def ask(to: Destination, timeouts: Timeouts, stop: threading.Event) -> Taken:
        return ask_what_it_takes(to, flow.settings.dicom.ae_title, sop_classes, timeouts=timeouts, stop=stop)

    asked = _ask(flow, person, name, ask)
    _tell(flow, person, name, "what it takes", asked.failure or "it answers")
    return asked


def entry_of(flow: Flow, name: str) -> site.Destination:
    """The destination as the site has it. Raises Refused where there is none of that name."""
    with flow.database.read() as session:
        found = flow.site.get(session)[1].destination(name)
    if found is None:
        raise Refused(f"there is no destination {name!r}", "missing")
    return found


def _ask(flow: Flow, person: Person, name: str, ask: Ask[Said]) -> Asked[Said]:
    to = Destination.of(entry_of(flow, name), flow.settings.tls)
    if person.via == "command line":
        delivery = flow.settings.delivery
        timeouts = Timeouts(connect=delivery.connect_timeout, dimse=delivery.response_timeout)
        return _first_answer([to], timeouts, threading.Event(), ask)
    at = [_pinned(to, address) for address in check_allowed(flow, to.host)]
    with _bell(IN_ALL) as stop:
        return _first_answer(at, BROWSER, stop, ask)


def _first_answer(at: Sequence[Destination], timeouts: Timeouts, stop: threading.Event, ask: Ask[Said]) -> Asked[Said]:
    """The next address is for where nobody listens at the one before, as with a name that has an IPv6 one as well."""
    began = time.monotonic()
    *others, last = at
    for to in (*others, last):
        try:
            said = ask(to, timeouts, stop)
        except AssociationFailed as failed:
            if to is not last and failed.kind in (FailureKind.CONNECTION, FailureKind.TIMEOUT):
                continue
            reason = f"no answer within {IN_ALL:g} s" if failed.kind is FailureKind.STOPPED else failed.reason
            return Asked(to, time.monotonic() - began, failure=reason)
        return Asked(to, time.monotonic() - began, said)
    raise AssertionError("the last address is answered or fails")


def _pinned(to: Destination, address: str) -> Destination:
    """The same destination at this address; its certificate is still to be for the name."""
    tls = to.tls and replace(to.tls, server_name=to.tls.server_name or to.host)
    return replace(to, host=address, tls=tls)


@contextmanager
def _bell(seconds: float) -> Iterator[threading.Event]:
    """An event that is set after so long."""
    stop = threading.Event()
    timer = threading.Timer(seconds, stop.set)
    timer.daemon = True
    timer.start()
    try:
        yield stop
    finally:
        timer.cancel()


def _tell(flow: Flow, person: Person, name: str, what: str, answer: str) -> None:
    """A browser makes the node open an association: who did is written down. Commands are typed on the node itself."""
    if person.via == "command line":
        return
    message, subject = f"{person.name} asked {name} {what}: {answer}", f"destination:{name}"
    with flow.database.write() as session:
        record(session, "destination.asked", message, node=flow.node, actor=person.name, subject=subject)
