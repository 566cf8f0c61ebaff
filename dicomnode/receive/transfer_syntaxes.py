"""Which of the transfer syntaxes offered for one presentation context is taken."""

from collections.abc import Iterable
from enum import IntEnum


class Rank(IntEnum):
    """Best first. All are accepted: a router must not refuse what the PACS takes."""

    EXPLICIT_LITTLE_ENDIAN = 0
    NATIVE = 1
    LOSSLESS = 2
    LOSSY = 3
    UNDECODABLE = 4


_JPEG = "1.2.840.10008.1.2.4."

RANKS = {
    "1.2.840.10008.1.2.1": Rank.EXPLICIT_LITTLE_ENDIAN,
    "1.2.840.10008.1.2": Rank.NATIVE,  # implicit little endian: private elements lose their VR
    "1.2.840.10008.1.2.2": Rank.NATIVE,  # explicit big endian, retired
    "1.2.840.10008.1.2.1.99": Rank.NATIVE,  # deflated explicit little endian
    "1.2.840.10008.1.2.5": Rank.LOSSLESS,  # RLE
    _JPEG + "57": Rank.LOSSLESS,  # JPEG lossless
    _JPEG + "70": Rank.LOSSLESS,  # JPEG lossless, selection value 1
    _JPEG + "80": Rank.LOSSLESS,  # JPEG-LS
    _JPEG + "90": Rank.LOSSLESS,  # JPEG 2000
    _JPEG + "201": Rank.LOSSLESS,  # HTJ2K
    _JPEG + "202": Rank.LOSSLESS,  # HTJ2K RPCL
    _JPEG + "50": Rank.LOSSY,  # JPEG baseline
    _JPEG + "51": Rank.LOSSY,  # JPEG extended
    _JPEG + "81": Rank.LOSSY,  # JPEG-LS near-lossless
    _JPEG + "91": Rank.LOSSY,  # JPEG 2000
    _JPEG + "203": Rank.LOSSY,  # HTJ2K
}
"""What the node's codecs can decode. All else (video, JPEG XL, JPIP, private) is kept as it comes, and ranks last."""


def by_preference(offered: Iterable[str]) -> list[str]:
    """The offered transfer syntax UIDs, best first; within a rank the sender's own order stands."""
    return sorted(offered, key=lambda uid: RANKS.get(uid, Rank.UNDECODABLE))
