"""Messages of the normalized services by hand: commands and data sets that no library would send together."""

from pydicom import Dataset
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance
from support import wire

N_ACTION_RQ, N_EVENT_REPORT_RQ, N_CREATE_RQ = 0x0130, 0x0100, 0x0140


def exchange(port: int, command: bytes, data: bytes, *, role: bytes = b"", sop_class: str = "") -> int:
    """One message over an association of its own; the status of its response.

    The class is storage commitment unless `sop_class` says another; `role` holds the two bytes of a role selection.
    """
    return int.from_bytes(response(port, command, data, role=role, sop_class=sop_class)[0x0900], "little")


def response(port: int, command: bytes, data: bytes, *, role: bytes = b"", sop_class: str = "") -> dict[int, bytes]:
    """The same; the elements of the response."""
    uid = (sop_class or StorageCommitmentPushModel).encode()
    context = wire.Context(1, uid.decode(), (wire.EXPLICIT,))
    selection = wire.item(0x54, len(uid).to_bytes(2, "big") + uid + role) if role else b""
    with wire.connect(port) as peer:
        peer.sendall(wire.associate_rq([context], called="DICOMNODE", calling="CT1", more_user_items=selection))
        assert wire.read_pdu(peer)[0] == wire.ASSOCIATE_AC
        peer.sendall(wire.p_data(1, wire.COMMAND | wire.LAST, command))
        for begin in range(0, max(len(data), 1), 65536):
            last = wire.LAST if begin + 65536 >= len(data) else 0
            peer.sendall(wire.p_data(1, last, data[begin : begin + 65536]))
        kind, content = wire.read_pdu(peer)
        assert kind == wire.P_DATA_TF
        ((_, _, answer),) = wire.pdvs(content)
        return wire.elements(bytes(answer))


def action(
    sop_class: str = str(StorageCommitmentPushModel),
    instance: str = str(StorageCommitmentPushModelInstance),
    type_id: int = 1,
    field: int = N_ACTION_RQ,
) -> bytes:
    """The command set of an N-ACTION-RQ, or of another request of storage commitment."""
    requested = field == N_ACTION_RQ
    return wire.command_set(
        wire.element(0x0003 if requested else 0x0002, _uid(sop_class))
        + _head(field)
        + wire.element(0x1001 if requested else 0x1000, _uid(instance))
        + wire.element(0x1008 if requested else 0x1002, _number(type_id))
    )


def create(sop_class: str, instance: str = "", field: int = N_CREATE_RQ) -> bytes:
    """The command set of an N-CREATE-RQ; without `instance` the SCP is to name it."""
    named = wire.element(0x1000, _uid(instance)) if instance else b""
    return wire.command_set(wire.element(0x0002, _uid(sop_class)) + _head(field) + named)


def encoded(content: Dataset) -> bytes:
    """A data set in explicit VR little endian."""
    found = encode(content, is_implicit_vr=False, is_little_endian=True)
    assert found
    return found


def _head(field: int) -> bytes:
    """Command Field, Message ID and Command Data Set Type."""
    return b"".join(wire.element(tag, _number(value)) for tag, value in ((0x0100, field), (0x0110, 7), (0x0800, 1)))


def _uid(value: str) -> bytes:
    return value.encode() + b"\0" * (len(value) % 2)


def _number(value: int) -> bytes:
    return value.to_bytes(2, "little")
