"""What the ledger keeps of a derived instance; the bytes are in a container."""

import hashlib
from dataclasses import dataclass

from dicomnode.derive import DerivedInstance


@dataclass(frozen=True)
class Written:
    """`sha256` (hex) is of the complete Part 10 file."""

    source_sop_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    sha256: str

    @classmethod
    def of(cls, instance: DerivedInstance) -> "Written":
        return cls(
            instance.source_sop_uid,
            instance.sop_instance_uid,
            instance.sop_class_uid,
            instance.transfer_syntax_uid,
            hashlib.sha256(instance.file_bytes).hexdigest(),
        )
