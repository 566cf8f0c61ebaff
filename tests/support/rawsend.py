"""A storage SCU that sends exactly the bytes it is given: command UIDs and data sets that no library would encode."""

import socket
import time
from struct import pack
from types import TracebackType

from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.presentation import PresentationContext

_COMMAND_LAST = b"\x03"
_DATA_MORE = b"\x00"
_DATA_LAST = b"\x02"
_NO_DATA_SET = 0x0101
_ROOM_FOR_PDV_HEADER = 6


class NoAnswer(Exception):
    """The association was rejected, or ended without a C-STORE response."""


class RawSender:
    """Opens an association for each (SOP class, transfer syntax) as needed; the last one is kept open.

    with RawSender("127.0.0.1", port, "DICOMNODE", "MODALITY") as sender:
        status = sender.store(sop_class, sop_uid, transfer_syntax, data_set_bytes)
    """

    def __init__(self, host: str, port: int, called: str, calling: str, *, timeout: float = 60.0) -> None:
        self._address = (host, port)
        self._called = called
        self._timeout = timeout
        self._ae = AE(ae_title=calling)
        self._ae.acse_timeout = self._ae.dimse_timeout = self._ae.network_timeout = timeout
        self._association: Association | None = None
        self._proposed: tuple[str, str] | None = None
        self._message_id = 0
        self.error_comment = ""
        """Error Comment (0000,0902) of the last response."""

    def store(
        self,
        sop_class: str,
        sop_uid: str | bytes,
        transfer_syntax: str,
        raw_dataset_bytes: bytes | None,
        *,
        context_sop_class: str | None = None,
    ) -> int:
        """Send one C-STORE and return the status of its response; `None` sends a command without a data set.

        `context_sop_class` proposes another abstract syntax than the command names. Raises NoAnswer.
        """
        association = self._associate(context_sop_class or sop_class, transfer_syntax)
        context_id = association.accepted_contexts[0].context_id
        self._message_id = self._message_id % 0xFFFF + 1
        command = _command(self._message_id, sop_class, sop_uid, raw_dataset_bytes is not None)
        _send(association, context_id, _COMMAND_LAST + command)
        if raw_dataset_bytes is not None:
            _send_data(association, context_id, raw_dataset_bytes)
        _, response = association.dimse.get_msg(block=True)
        if not isinstance(response, C_STORE) or response.Status is None:
            association._reactor_checkpoint.set()  # so that it notices how the association ended
            raise NoAnswer("the association ended without a response")
        self.error_comment = str(response.ErrorComment or "")
        return int(response.Status)

    def echo(self) -> int:
        """Verify over an association of its own; returns the status. Raises NoAnswer."""
        self.close()
        association = self._associate("1.2.840.10008.1.1", "1.2.840.10008.1.2")
        status = association.send_c_echo()
        if "Status" not in status:
            raise NoAnswer("no C-ECHO response")
        return int(status.Status)

    def accepted_transfer_syntax(self, sop_class: str, transfer_syntaxes: list[str]) -> str | None:
        """What the peer takes of several transfer syntaxes offered in one context; None if it takes none."""
        self.close()
        association = self._ae.associate(*self._address, contexts=[_context(sop_class, transfer_syntaxes)],
                                         ae_title=self._called)  # fmt: skip
        accepted = association.accepted_contexts
        if association.is_established:
            association.release()
        return str(accepted[0].transfer_syntax[0]) if accepted else None

    def close(self) -> None:
        """Release the open association, if there is one."""
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._association = None

    def abort(self) -> None:
        """Abort the open association."""
        if self._association is not None:
            self._association.abort()
        self._association = None

    def __enter__(self) -> "RawSender":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _associate(self, sop_class: str, transfer_syntax: str) -> Association:
        wanted = (sop_class, transfer_syntax)
        if self._association is not None and self._association.is_established and self._proposed == wanted:
            return self._association
        self.close()
        context = _context(sop_class, [transfer_syntax])
        association = self._ae.associate(*self._address, contexts=[context], ae_title=self._called)
        if not association.is_established:
            raise NoAnswer("the association was rejected or no context was accepted")
        # Small commands behind large data sets: Nagle's algorithm would add 40 ms to each.
        association.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _hold_reactor(association)
        self._association, self._proposed = association, wanted
        return association


def _hold_reactor(association: Association) -> None:
    """Keep pynetdicom's reactor from taking responses from under us, for as long as the association lasts."""
    association._reactor_checkpoint.clear()
    while not association._is_paused and association.is_alive():
        time.sleep(0.0005)


def _context(sop_class: str, transfer_syntaxes: list[str]) -> PresentationContext:
    _config.VALIDATORS["UI"] = lambda value: (True, "")
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class)
    context.transfer_syntax = [UID(uid) for uid in transfer_syntaxes]
    return context


def _command(message_id: int, sop_class: str, sop_uid: str | bytes, has_data_set: bool) -> bytes:
    """A C-STORE-RQ command set (PS3.7 9.3.1.1), implicit VR little endian."""
    instance = sop_uid if isinstance(sop_uid, bytes) else sop_uid.encode("latin-1")
    elements = b"".join(
        (
            _element(0x0002, sop_class.encode("latin-1"), b"\0"),
            _element(0x0100, pack("<H", 0x0001)),
            _element(0x0110, pack("<H", message_id)),
            _element(0x0700, pack("<H", 0)),
            _element(0x0800, pack("<H", 1 if has_data_set else _NO_DATA_SET)),
            _element(0x1000, instance, b"\0"),
        )
    )
    return _element(0x0000, pack("<L", len(elements))) + elements


def _element(number: int, value: bytes, pad: bytes = b"") -> bytes:
    if len(value) % 2:
        value += pad
    return pack("<HHL", 0, number, len(value)) + value


def _send(association: Association, context_id: int, pdv: bytes) -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list.append([context_id, pdv])
    association.dul.send_pdu(primitive)


def _send_data(association: Association, context_id: int, data_set: bytes) -> None:
    room = (association.dimse.maximum_pdu_size or 1 << 20) - _ROOM_FOR_PDV_HEADER
    begins = range(0, len(data_set), room) if data_set else (0,)
    for begin in begins:
        last = begin + room >= len(data_set)
        _send(association, context_id, (_DATA_LAST if last else _DATA_MORE) + data_set[begin : begin + room])
