"""A-ASSOCIATE-RQ and -AC against pynetdicom's codec, and against bytes that are neither."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext
from support import wire

from dicomnode.receive.negotiation import associate_ac, negotiate
from dicomnode.receive.pdu import MalformedPdu
from dicomnode.receive.request import AssociationRequest

UIDS = st.lists(st.integers(0, 10**6).map(str), min_size=2, max_size=6).map(".".join)
TITLES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=16)
CT, QUERY = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.2.2.1"
PDU_HEADER = 6


@st.composite
def proposals(draw: st.DrawFn) -> A_ASSOCIATE:
    """What pynetdicom's requestor may ask for, role selection and user identity included."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = draw(TITLES), draw(TITLES)
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, implementation.implementation_class_uid = draw(st.integers(0, 2**32 - 1)), "1.2.3"
    primitive.user_information = [length, implementation]
    if draw(st.booleans()):
        role, identity = SCP_SCU_RoleSelectionNegotiation(), UserIdentityNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = CT, True, True
        identity.user_identity_type, identity.primary_field = 2, b"who"
        identity.secondary_field, identity.positive_response_requested = b"secret", True
        primitive.user_information += [role, identity]
    contexts = []
    for number in range(draw(st.integers(1, 6))):
        context = PresentationContext()
        context.context_id, context.abstract_syntax = 2 * number + 1, draw(st.sampled_from((CT, QUERY)) | UIDS)
        context.transfer_syntax = draw(st.lists(UIDS, min_size=1, max_size=4, unique=True))
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    return primitive


@given(proposals())
def test_what_pynetdicom_asks_for_is_read(primitive: A_ASSOCIATE) -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    request = AssociationRequest.decode(pdu.encode()[PDU_HEADER:])
    assert (request.calling_aet, request.called_aet) == (primitive.calling_ae_title, primitive.called_ae_title)
    assert request.max_length == primitive.user_information[0].maximum_length_received
    assert [(c.context_id, c.abstract_syntax, list(c.transfer_syntaxes)) for c in request.contexts] == [
        (c.context_id, c.abstract_syntax, list(c.transfer_syntax))
        for c in primitive.presentation_context_definition_list
    ]


@given(proposals())
def test_pynetdicom_reads_what_is_answered(primitive: A_ASSOCIATE) -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    request = AssociationRequest.decode(pdu.encode()[PDU_HEADER:])
    accepted = negotiate(request)
    answer = A_ASSOCIATE_AC()
    answer.decode(associate_ac(request, accepted, 131072))
    read = answer.to_primitive()
    results = {context.context_id: context for context in read.presentation_context_definition_results_list}
    assert set(results) == {context.context_id for context in request.contexts}
    for context in request.contexts:
        taken = context.abstract_syntax != QUERY
        assert (results[context.context_id].result == 0) == (context.context_id in accepted) == taken
        assert results[context.context_id].transfer_syntax[0] in context.transfer_syntaxes
    assert read.maximum_length_received == 131072


@given(st.binary(max_size=300))
def test_noise_is_malformed_or_a_request(noise: bytes) -> None:
    with contextlib.suppress(MalformedPdu):
        request = AssociationRequest.decode(bytes(68) + noise)
        assert request.titles == bytes(32)


@given(st.integers(0, 400), st.integers(0, 255))
@example(72, 255)
def test_a_damaged_request_is_malformed_or_read(position: int, value: int) -> None:
    content = bytearray(wire.associate_rq([wire.ECHO, wire.Context(3, CT)])[PDU_HEADER:])
    content[position % len(content)] = value
    try:
        request = AssociationRequest.decode(content)
    except MalformedPdu:
        return
    assert request.calling_aet.isprintable()
    assert len(request.titles) == 32


@pytest.mark.parametrize(
    "content",
    [
        bytes(67),
        bytes(68) + b"\x10\0\0",
        bytes(68) + wire.item(0x20, b"\x02\0\0\0" + wire.item(0x30, b"1.2") + wire.item(0x40, b"1.2")),
        bytes(68) + wire.item(0x20, b"\x01\0\0\0" + wire.item(0x30, b"1.2")),
        bytes(68) + wire.item(0x20, b"\x01\0\0\0" + wire.item(0x40, b"1.2")),
        bytes(68) + 2 * wire.item(0x20, b"\x01\0\0\0" + wire.item(0x30, b"1.2") + wire.item(0x40, b"1.2")),
        bytes(68) + wire.item(0x50, wire.item(0x51, b"\0\0\1")),
    ],
    ids=["short", "half an item", "even ID", "no transfer syntax", "no abstract syntax", "ID twice", "short length"],
)
def test_what_is_no_request(content: bytes) -> None:
    with pytest.raises(MalformedPdu):
        AssociationRequest.decode(content)


def test_titles_reach_logs_without_control_characters() -> None:
    content = bytearray(wire.associate_rq()[PDU_HEADER:])
    content[20:36] = b"A\x1b[31m\x00\xffB\n      "
    assert AssociationRequest.decode(content).calling_aet == "A?[31m??B?"


JUNK = ["1.2.840.10008.1.2.1\0junk", "1.2.840.10008.1.2.1 x", "1..2", "1" * 65, "\xff"]


@pytest.mark.parametrize("junk", JUNK)
def test_what_is_no_uid_is_not_negotiated(junk: str) -> None:
    """Results of PS3.8 9.3.3.2: 3, abstract syntax not supported; 4, transfer syntaxes not supported."""
    proposed = [
        wire.Context(1, CT, (junk,)),
        wire.Context(3, CT, (junk, "1.2.840.10008.1.2")),
        wire.Context(5, CT, (junk, "1.2.3.4")),
        wire.Context(7, junk, ("1.2.840.10008.1.2",)),
        wire.Context(9, "1.2.840.10008.1.1", (junk,)),
        wire.Context(11, "1.2.840.10008.1.20.1", (junk,)),
    ]
    request = AssociationRequest.decode(wire.associate_rq(proposed)[PDU_HEADER:])
    accepted = negotiate(request)
    assert {number: context.transfer_syntax for number, context in accepted.items()} == {
        3: "1.2.840.10008.1.2",
        5: "1.2.3.4",
    }
    answer = associate_ac(request, accepted, 131072)[PDU_HEADER:]
    results = {item[0]: item[2] for kind, item in wire.items(answer, 68) if kind == 0x21}
    assert results == {1: 4, 3: 0, 5: 0, 7: 3, 9: 4, 11: 4}
