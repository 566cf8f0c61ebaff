"""Stored instances as the images that an engine is given: each read when it is needed, and not before."""

from collections.abc import Callable
from functools import cached_property, partial

from pydicom import Dataset

from dicomnode.domain.instance import Location
from dicomnode.enhance.decode import Decoder
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels, SourceImage
from dicomnode.flow.context import Flow
from dicomnode.store.header import UnreadableHeader
from dicomnode.store.reading import read_dataset, read_header


class StoredImage(SourceImage):
    """A stored instance. Its header is read at the first look at it, and kept: what that raises comes up there."""

    def __init__(self, sop_uid: str, read: Callable[[], Dataset], load: Callable[[], Pixels]) -> None:
        vars(self).update(sop_uid=sop_uid, load=load, _read=read)

    @cached_property
    def header(self) -> Dataset:
        header: Dataset = vars(self)["_read"]()
        return header

    def forget(self) -> None:
        """Give the header up: who asks for it again reads it again."""
        vars(self).pop("header", None)


def stored_image(flow: Flow, decoder: Decoder, sop_uid: str, location: Location) -> StoredImage:
    """The image at this place. Its header raises OSError, EOFError and UnreadableHeader, `load` raises CannotDecode."""
    read = partial(read_header, flow.root, location)
    return StoredImage(sop_uid, read, partial(_decode, flow, decoder, location))


def _decode(flow: Flow, decoder: Decoder, location: Location) -> Pixels:
    try:
        return decoder.decode(read_dataset(flow.root, location))
    except UnreadableHeader as error:
        raise CannotDecode(str(error)) from error
