"""Pixel data to stored integers, exactly as pydicom decodes them, within limits that are checked first.

Native pixel data is read from its bytes by numpy alone, in this process. Compressed frames go to a child process
(`decode_child`) that may crash or hang without harm.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from pydicom import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from dicomnode.enhance.decode_process import DecodeProcess
from dicomnode.enhance.errors import CannotDecode
from dicomnode.enhance.images import Pixels

_REQUIRED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
_OPTIONAL = ("PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation", "PlanarConfiguration")
_BITS_ALLOCATED = (1, 8, 16, 32)


@dataclass(frozen=True)
class DecodeLimits:
    """What one image may cost. `decoded_bytes` is judged by the header before anything is decoded."""

    decoded_bytes: int = 256 << 20
    memory_bytes: int = 2 << 30
    cpu_seconds: int = 30
    wall_seconds: float = 60.0


@dataclass(frozen=True)
class PixelHeader:
    """The sizes in the Image Pixel module (PS3.3 C.7.6.3), checked for presence, sense and budget."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def decoded_bytes(self) -> int:
        return self.rows * self.columns * self.samples * max(1, self.bits_allocated // 8)


class Decoder:
    """Decodes single-frame images. Threads may share it; they take turns at compressed ones."""

    def __init__(self, limits: DecodeLimits | None = None) -> None:
        self.limits = limits or DecodeLimits()
        self.process = DecodeProcess(self.limits.memory_bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one. The decoder can be used again."""
        self.process.close()

    def decode(self, image: Dataset) -> Pixels:
        """Stored integers of a complete single-frame image: (H, W), or (H, W, 3) in RGB where it was YBR_FULL.

        `image` needs its file meta information. Raises CannotDecode with one sentence: no pixel data, multi-frame,
        over a limit, an unknown transfer syntax, broken data, a decoder that crashed or hung.
        """
        header = pixel_header(image, self.limits)
        syntax = _transfer_syntax(image)
        pixels = self._compressed(image, syntax, header) if syntax.is_compressed else _native(image, syntax)
        if pixels.shape != header.shape or pixels.dtype.kind not in "iu":
            raise CannotDecode(
                f"decoding gave {pixels.dtype} of shape {pixels.shape}, the header states {header.shape}"
            )
        return pixels

    def _compressed(self, image: Dataset, syntax: UID, header: PixelHeader) -> Pixels:
        request = {
            "transfer_syntax": str(syntax),
            "elements": _elements(image),
            "cpu_seconds": self.limits.cpu_seconds,
        }
        answer, payload = self.process.ask(
            request,
            image.PixelData,
            wall_seconds=self.limits.wall_seconds,
            answer_bytes=4 * header.decoded_bytes,  # a decoder may widen 8 bits to 32
        )
        if "error" in answer:
            raise CannotDecode(f"the image cannot be decoded: {answer['error']}")
        try:
            return np.frombuffer(payload, dtype=np.dtype(answer["dtype"])).reshape(answer["shape"])
        except (KeyError, TypeError, ValueError) as error:
            raise CannotDecode("the decoder's answer makes no sense") from error


def pixel_header(image: Dataset, limits: DecodeLimits) -> PixelHeader:
    """The sizes that the header states; CannotDecode if one is missing, senseless or beyond the budget."""
    try:
        numbers = {name: int(image.get(name) or 0) for name in _REQUIRED}
        frames = int(image.get("NumberOfFrames") or 1)
        has_pixels = bool(image.get("PixelData"))
    except Exception as error:  # an element with a broken value raises what its VR's reader raises
        raise CannotDecode("the image's header cannot be read") from error
    for name in (*_REQUIRED, *_OPTIONAL):  # pydicom's complaint would quote its text, which may take for ever
        if getattr(image.get_item(name), "VR", None) == "SQ":
            raise CannotDecode(f"{name} is a sequence")
    if not has_pixels:
        raise CannotDecode("the instance has no integer pixel data")
    if frames != 1:
        raise CannotDecode(f"multi-frame images are not enhanced yet (this one states {frames} frames)")
    for name, number in numbers.items():
        if number < 1:
            raise CannotDecode(f"{name} is missing or zero")
    header = PixelHeader(*numbers.values())
    if header.samples not in (1, 3):
        raise CannotDecode(f"{header.samples} samples per pixel are neither grayscale nor colour")
    if header.bits_allocated not in _BITS_ALLOCATED:
        raise CannotDecode(f"{header.bits_allocated} bits allocated are not supported")
    if header.decoded_bytes > limits.decoded_bytes:
        size, most = header.decoded_bytes / 2**20, limits.decoded_bytes / 2**20
        raise CannotDecode(f"the image would take {size:.0f} MiB decoded, more than the limit of {most:.0f} MiB")
    return header


def _transfer_syntax(image: Dataset) -> UID:
    syntax = UID(str(getattr(image, "file_meta", Dataset()).get("TransferSyntaxUID") or ""))
    if not syntax:
        raise CannotDecode("the transfer syntax is not stated")
    try:
        get_decoder(syntax)
    except NotImplementedError:
        raise CannotDecode(f"the transfer syntax {syntax.name} cannot be decoded") from None
    return syntax


def _native(image: Dataset, syntax: UID) -> Pixels:
    try:
        pixels, _ = get_decoder(syntax).as_array(image, index=0)
    except Exception as error:  # pydicom raises many kinds: data shorter than stated, odd or missing elements
        raise CannotDecode(f"the pixel data cannot be read: {' '.join(str(error).split())[:300]}") from error
    return pixels


def _elements(image: Dataset) -> dict[str, Any]:
    elements: dict[str, Any] = {name: int(image[name].value) for name in _REQUIRED}
    for name in _OPTIONAL:
        value = image.get(name)
        if value is not None:
            elements[name] = str(value) if name == "PhotometricInterpretation" else int(value)
    return elements
