"""Peers that never end: they drip bytes, name instances for ever, or release for ever. No single wait is long."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from struct import pack

import pytest
from support import wire

from dicomnode.deliver import association as association_module
from dicomnode.deliver import conversation as conversation_module
from dicomnode.deliver import find as find_module
from dicomnode.deliver.association import Association
from dicomnode.deliver.conversation import Conversation
from dicomnode.deliver.destination import Destination, Timeouts
from dicomnode.deliver.find import QUERY, STUDY_ROOT_FIND, Endless, find, find_instances
from dicomnode.deliver.message import Message
from dicomnode.deliver.outcome import AssociationFailed, FailureKind
from dicomnode.deliver.wire import Wire
from dicomnode.domain import command_set as dimse

PATIENT = Timeouts(connect=60.0, acse=60.0, dimse=60.0)
SUCCESS, PENDING = 0x0000, 0xFF00
BOUND = 100_000
"""What an endless peer sends before it gives up: so that without a bound a test fails, and does not hang."""

Script = Callable[[socket.socket], None]


@dataclass
class Heard:
    """What the peer was told at last."""

    destination: Destination
    last: list[int] = field(default_factory=list)
    """Types of the PDUs that came after its script."""


@contextmanager
def peer(script: Script) -> Iterator[Heard]:
    """A peer that takes the association and one C-FIND-RQ; then its script."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        heard = Heard(Destination("pacs", "PACS", "127.0.0.1", server.getsockname()[1]))

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                _, request = wire.read_pdu(connection)
                connection.sendall(associate_ac(request))
                while not ends_data_set(wire.read_pdu(connection)[1]):
                    pass
                with suppress(OSError):  # the node hung up
                    script(connection)
                heard.last += rest(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield heard
        thread.join(60)
        assert not thread.is_alive()


def associate_ac(request: bytes) -> bytes:
    accepted = wire.item(0x21, b"\1\0\0\0" + wire.item(0x40, wire.IMPLICIT.encode()))
    user = wire.item(0x50, wire.item(0x51, pack(">L", 16384)) + wire.item(0x52, b"1.2.3"))
    items = wire.item(0x10, b"1.2.840.10008.3.1.1.1") + accepted + user
    return wire.pdu(wire.ASSOCIATE_AC, b"\0\1\0\0" + request[4:68] + items)


def ends_data_set(content: bytes) -> bool:
    return any(control == wire.LAST for _, control, _ in wire.pdvs(content))


def rest(connection: socket.socket) -> list[int]:
    """Types of the PDUs until the connection ends. A release is answered."""
    kinds: list[int] = []
    with suppress(wire.Closed, OSError):
        while True:
            kinds.append(wire.read_pdu(connection)[0])
            if kinds[-1] == wire.RELEASE_RQ:
                connection.sendall(wire.pdu(wire.RELEASE_RP))
    return kinds


def response(status: int, uid: str = "") -> bytes:
    """A C-FIND-RSP to message 1, with a data set where it is pending."""
    has_data_set = status == PENDING
    command = dimse.encode(
        {
            dimse.AFFECTED_SOP_CLASS_UID: dimse.uid(STUDY_ROOT_FIND),
            dimse.COMMAND_FIELD: dimse.us(0x8020),
            dimse.MESSAGE_ID_BEING_RESPONDED_TO: dimse.us(1),
            dimse.COMMAND_DATA_SET_TYPE: dimse.us(1 if has_data_set else dimse.NO_DATA_SET),
            dimse.STATUS: dimse.us(status),
        }
    )
    value = uid.encode() + b"\0" * (len(uid) % 2)
    data_set = wire.pdv(1, wire.LAST, pack("<HHL", 8, 0x18, len(value)) + value) if has_data_set else b""
    return wire.pdu(wire.P_DATA_TF, wire.pdv(1, wire.COMMAND | wire.LAST, command) + data_set)


def ask(heard: Heard) -> set[str]:
    return find_instances(heard.destination, "NODE", "1.2", "1.3", timeouts=PATIENT)


def failure_of(heard: Heard) -> AssociationFailed:
    with pytest.raises(AssociationFailed) as caught:
        ask(heard)
    assert caught.value.transient
    return caught.value


def naming_for_ever(connection: socket.socket) -> None:
    for number in range(BOUND):
        connection.sendall(response(PENDING, f"1.2.3.{number}"))
    connection.sendall(response(SUCCESS))


def test_a_list_that_is_longer_than_any_series_ends_the_inquiry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "MOST_RESPONSES", 20)
    with peer(naming_for_ever) as heard:
        failure = failure_of(heard)
    assert isinstance(failure, Endless)
    assert failure.kind is FailureKind.PROTOCOL
    assert "more than 20 responses" in failure.reason


def test_as_many_responses_as_allowed_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_module, "MOST_RESPONSES", 20)
    answers = b"".join(response(PENDING, f"1.2.3.{number}") for number in range(20)) + response(SUCCESS)
    with peer(lambda connection: connection.sendall(answers)) as heard:
        assert len(ask(heard)) == 20


def test_a_list_that_does_not_end_in_time_ends_the_inquiry_by_an_abort(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(connection: socket.socket) -> None:
        for number in count():
            connection.sendall(response(PENDING, f"1.2.3.{number}"))
            connection.settimeout(0.02)
            try:
                assert connection.recv(6) == bytes((wire.ABORT, 0, 0, 0, 0, 4))
                aborted.set()
                return
            except TimeoutError:
                assert number < 500, "nobody ends it"

    aborted = threading.Event()
    monkeypatch.setattr(find_module, "INQUIRY_SECONDS", 0.1)
    with peer(slowly) as heard:
        failure = failure_of(heard)
    assert isinstance(failure, Endless)
    assert failure.kind is FailureKind.TIMEOUT
    assert "did not end within 0.1 s" in failure.reason
    assert aborted.is_set()


def test_what_was_not_asked_about_is_not_kept() -> None:
    answers = b"".join(response(PENDING, f"1.2.3.{number}") for number in range(9)) + response(SUCCESS)
    with peer(lambda connection: connection.sendall(answers)) as heard:
        association = Association.request(heard.destination, "NODE", [QUERY], PATIENT, threading.Event())
        found = find(Conversation(association, 60.0), "1.2", "1.3", among={"1.2.3.4", "1.2.4"})
        association.release()
    assert found == {"1.2.3.4"}


def test_a_peer_that_asks_without_end_and_answers_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = count()

    def answer(message: Message) -> bytes:
        next(answered)
        number = message.number(dimse.MESSAGE_ID)
        return dimse.encode({dimse.COMMAND_FIELD: dimse.us(0x8030), dimse.STATUS: dimse.us(number)})

    def asking(connection: socket.socket) -> None:
        echo = {dimse.COMMAND_FIELD: dimse.us(0x0030), dimse.MESSAGE_ID: dimse.us(7)}
        echo |= {dimse.COMMAND_DATA_SET_TYPE: dimse.us(dimse.NO_DATA_SET)}
        for _ in range(30):
            connection.sendall(wire.p_data(1, wire.COMMAND | wire.LAST, dimse.encode(echo)))

    monkeypatch.setattr(conversation_module, "MOST_REQUESTS", 20)
    with peer(asking) as heard:
        association = Association.request(heard.destination, "NODE", [QUERY], PATIENT, threading.Event())
        with pytest.raises(AssociationFailed, match="20 requests, and answered none") as caught:
            find(Conversation(association, 60.0, answer), "1.2", "1.3")
        association.abort()
    assert caught.value.transient
    assert next(answered) == 20


@contextmanager
def connected() -> Iterator[tuple[Wire, socket.socket]]:
    """Our end, and the peer's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = Wire(socket.create_connection(server.getsockname()), threading.Event())
        theirs, _ = server.accept()
        with theirs:
            yield ours, theirs
        ours.close()


def test_a_pdu_that_drips_is_not_waited_for_to_its_end() -> None:
    """Byte by byte, much faster than any silence that is noticed."""
    pdu = wire.pdu(wire.P_DATA_TF, bytes(1000))
    over = threading.Event()

    def drip(theirs: socket.socket) -> None:
        for octet in pdu:
            if not over.wait(0.01):
                theirs.sendall(bytes((octet,)))

    with connected() as (ours, theirs):
        thread = threading.Thread(target=drip, args=(theirs,))
        thread.start()
        with pytest.raises(AssociationFailed, match="too slow") as caught:
            ours.read(60.0, 0.1)
        over.set()
        thread.join()
    assert (caught.value.kind, caught.value.transient) == (FailureKind.TIMEOUT, True)


def test_a_pdu_that_has_begun_has_its_own_time_to_be_whole() -> None:
    pdu = wire.pdu(wire.P_DATA_TF, b"content")
    with connected() as (ours, theirs):
        theirs.sendall(pdu[:3])
        later = threading.Timer(0.3, theirs.sendall, [pdu[3:]])
        later.start()
        assert ours.read(0.05, 60.0) == (wire.P_DATA_TF, b"content")
        later.join()


def test_a_message_in_pieces_without_end_is_not_put_together_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(connection: socket.socket) -> None:
        for _ in range(BOUND):
            connection.sendall(wire.p_data(1, wire.COMMAND, b""))

    monkeypatch.setattr(association_module, "MESSAGE_SECONDS", 0.1)
    with peer(script) as heard:
        failure = failure_of(heard)
    assert failure.kind is FailureKind.PROTOCOL
    assert "not whole after 0.1 s" in failure.reason


def test_a_peer_that_releases_without_end_is_answered_once() -> None:
    """PS3.8 7.2.2.7: both sides release at the same time; this one does so whatever it hears."""
    kinds: list[int] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(response(SUCCESS))
        with suppress(wire.Closed):
            while len(kinds) < 10:
                kinds.append(wire.read_pdu(connection)[0])
                connection.sendall(wire.pdu(wire.RELEASE_RQ))

    with peer(script) as heard:
        assert ask(heard) == set()
    assert kinds == [wire.RELEASE_RQ, wire.RELEASE_RP]


def test_a_peer_that_goes_on_when_it_should_release_is_not_heard_out() -> None:
    def script(connection: socket.socket) -> None:
        connection.sendall(response(SUCCESS) + response(PENDING, "1.2.3") * 5)

    with peer(script) as heard:
        assert ask(heard) == set()
    assert heard.last == [wire.RELEASE_RQ]
