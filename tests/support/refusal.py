"""What an association request that is turned away is answered with."""

from pynetdicom import AE, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ


def refusal(entity: AE, port: int, called: str = "DICOMNODE") -> tuple[int, int, int]:
    """Result, source and reason of the A-ASSOCIATE-RJ (PS3.8 9.3.4), as it came.

    Who is answered before pynetdicom looks whether it is connected is told there that the association was aborted.
    """
    came: list[tuple[int, int, int]] = []

    def take(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            came.append((event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    association = entity.associate("127.0.0.1", port, ae_title=called, evt_handlers=[(evt.EVT_PDU_RECV, take)])
    assert not association.is_established
    (answer,) = came
    return answer
