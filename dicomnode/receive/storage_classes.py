"""What counts as a storage SOP class."""

from pydicom.uid import UID

from dicomnode.domain.usable_uid import is_usable_uid

NOT_STORAGE = {
    "1.2.840.10008.1.3.10": "Media Storage Directory: a file set's table of contents, never sent (PS3.10 8)",
    "1.2.840.10008.1.20.1": "Storage Commitment Push Model: an N-ACTION service (PS3.4 J)",
    "1.2.840.10008.1.20.2": "Storage Commitment Pull Model: an N-ACTION service, retired",
}
"""Classes that are called storage and are none."""


def is_storage_class(uid: str) -> bool:
    """True for every class that may be stored: all but the known classes of other services.

    Of the classes in the dictionary those called `... Storage`, with the retired ones; and every class that is not
    in it, private ones and those of later editions: a router must not refuse what the PACS takes.
    """
    if not is_usable_uid(uid) or uid in NOT_STORAGE:
        return False
    known = UID(uid)
    if not known.type:
        return True
    return known.type == "SOP Class" and "Storage" in known.name
