"""What a peer may take of this node before it is cut off, as data. All of it is per connection but the last rows."""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. An honest peer meets none of them; RELEASE and ABORT need no limit beyond their type's."""

    artim_seconds: float = 10.0
    """From the connection to a whole A-ASSOCIATE-RQ, TLS included; and from our last word to the peer's close."""
    pdu_seconds: float = 30.0
    """From a PDU's first byte to its last; from one PDU to the next inside a message; for the peer to take ours."""
    idle_seconds: float = 300.0
    """Between messages of an open association."""
    stalled_seconds: float = 3.0
    """Who has left a PDU or a message half said for so long loses his place once all are taken and another needs it."""
    slow_seconds: float = 30.0
    """A message may take this long, and a second more for every `slow_bytes` of it: slow-drip senders are cut."""
    slow_bytes: int = 4 * KIB

    max_pdu: int = 128 * KIB
    """The longest P-DATA-TF, as announced. A few bytes more are forgiven: some peers count the header differently."""
    forgiven: int = 16
    request_bytes: int = 512 * KIB
    """An A-ASSOCIATE-RQ of 128 presentation contexts with all transfer syntaxes of the dictionary has 220 KB."""
    short_bytes: int = 64
    """All other PDUs: they have 4 bytes."""
    command_bytes: int = 16 * KIB
    """A command set; the longest honest ones have some hundred bytes."""
    crumbs: int = 4096
    """So many fragments of a message may be of any size; beyond, they must be `crumb_bytes` long on average."""
    crumb_bytes: int = 128
    memory_bytes: int = 4 * MIB
    """A data set that is longer goes to disk as it comes, into a container of its own."""

    max_waiting: int = 512
    """Sockets without an association, in this process: beyond, the one that has waited longest makes room."""
    waiting_bytes: int = 16 * MIB
    """What all of them together have sent of their requests."""
