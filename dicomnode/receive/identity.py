"""Is this data set the instance that the command names, and to which study and series does it belong?"""

import io
from typing import BinaryIO

from pydicom.dataset import Dataset

from dicomnode.domain.usable_uid import is_usable_uid
from dicomnode.receive.statuses import Status
from dicomnode.receive.store_request import Refused, StoreRequest
from dicomnode.store.header import UnreadableHeader, read_header
from dicomnode.store.scan import scan

_SOP_CLASS = 0x00080016
_SOP_INSTANCE = 0x00080018
_STUDY = 0x0020000D
_SERIES = 0x0020000E

_NAMES = {_STUDY: "Study", _SERIES: "Series", _SOP_CLASS: "SOP Class", _SOP_INSTANCE: "SOP Instance"}


def identify(request: StoreRequest, data_set: memoryview) -> tuple[str, str]:
    """Study and Series Instance UID of the data set, once it is shown to be the instance that the command names.

    Raises Refused, with C000 or A900.
    """
    scanned = scan(data_set, request.transfer_syntax_uid)
    if scanned is None:
        return identify_by_pydicom(request, io.BytesIO(data_set))
    uids = {
        _SOP_CLASS: scanned.sop_class_uid,
        _SOP_INSTANCE: scanned.sop_instance_uid,
        _STUDY: scanned.study_uid,
        _SERIES: scanned.series_uid,
    }
    return _compared(request, uids)


def identify_by_pydicom(request: StoreRequest, stream: BinaryIO) -> tuple[str, str]:
    """The same, from a stream that begins with the data set, which is read no further than its pixels."""
    try:
        header = read_header(stream, request.transfer_syntax_uid)
    except UnreadableHeader as error:
        raise Refused(Status.CANNOT_UNDERSTAND, f"the data set: {error}") from None
    return _compared(request, {tag: _text(header, tag) for tag in _NAMES})


def _compared(request: StoreRequest, uids: dict[int, str]) -> tuple[str, str]:
    for tag in _NAMES:
        if not is_usable_uid(uids[tag]):
            raise Refused(Status.CANNOT_UNDERSTAND, f"the data set has no usable {_NAMES[tag]} UID")
    if uids[_SOP_CLASS] != request.sop_class_uid:
        raise Refused(Status.DOES_NOT_MATCH_SOP_CLASS, "the data set is of another SOP class than the command says")
    if uids[_SOP_INSTANCE] != request.sop_instance_uid:
        raise Refused(Status.DOES_NOT_MATCH_SOP_CLASS, "the data set is another instance than the command says")
    return uids[_STUDY], uids[_SERIES]


def _text(header: Dataset, tag: int) -> str:
    element = header.get_item(tag)
    value = element.value if element is not None else b""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.rstrip("\0 ") if isinstance(text, str) else ""  # a sequence is no name, whatever its text would be
