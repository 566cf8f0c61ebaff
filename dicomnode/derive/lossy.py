"""The history of lossy compression: once lossy, always lossy (C.7.6.1.1.5)."""

from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from dicomnode.derive.errors import CannotDerive
from dicomnode.derive.pixels import PixelFormat

METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.93": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
    "1.2.840.10008.1.2.4.112": "ISO_18181_1",
}
"""Transfer syntaxes that lose, or may have lost, information -> LossyImageCompressionMethod."""


def lossy_history(source: Dataset, form: PixelFormat, source_length: int | None) -> dict[str, Any]:
    """LossyImageCompression, Ratio and Method where the source's transfer syntax adds to what its header says.

    `source_length` is the length in bytes of the compressed pixel data; without it the source's PixelData is asked.
    Raises CannotDerive where the ratio is in neither.
    """
    method = METHODS.get(transfer_syntax(source))
    if method is None:
        return {}
    methods = _values(source.get("LossyImageCompressionMethod"))
    ratios = _values(source.get("LossyImageCompressionRatio"))
    new: dict[str, Any] = {}
    if source.get("LossyImageCompression") != "01":
        new["LossyImageCompression"] = "01"
    if method not in methods:
        methods = [*methods, method]
        new["LossyImageCompressionMethod"] = methods
    if len(ratios) < len(methods):
        new["LossyImageCompressionRatio"] = [*ratios, _ratio(source, form, source_length)]
    return new


def transfer_syntax(source: Dataset) -> str:
    """TransferSyntaxUID of the file that the source was read from; empty for a data set without file meta."""
    meta = getattr(source, "file_meta", None)
    return str(meta.get("TransferSyntaxUID") or "") if meta else ""


def _ratio(source: Dataset, form: PixelFormat, source_length: int | None) -> str:
    if source_length is None and "PixelData" in source:
        source_length = len(source.PixelData)
    if not source_length:
        raise CannotDerive("the source is lossily compressed: the length of its pixel data is needed")
    return f"{form.length / source_length:.2f}"


def _values(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    return [str(one) for one in value] if isinstance(value, MultiValue | list) else [str(value)]
