"""Which compressed transfer syntaxes this installation can decode."""

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

_USUAL = (
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2K,
    RLELossless,
)


def missing_codecs(syntaxes: tuple[UID, ...] = _USUAL) -> list[str]:
    """One line per transfer syntax that cannot be decoded here: its name and the packages that would mend it.

    Such series are received, stored and forwarded like all others; they are never enhanced.
    """
    lines = []
    for syntax in syntaxes:
        decoder = get_decoder(syntax)
        if not decoder.is_available:
            missing = "; ".join(decoder.missing_dependencies)
            lines.append(f"{syntax.name} cannot be decoded ({missing})")
    return lines
