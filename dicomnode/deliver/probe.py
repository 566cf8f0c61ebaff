"""What a destination takes, asked without sending anything: one presentation context for each class and syntax.

An association is negotiated and released (PS3.8 7.1, 9.3.2); nothing is stored. More contexts than fit into one
association are spread over several.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydicom.uid import UID
from pynetdicom.presentation import AllStoragePresentationContexts

from dicomnode.deliver.association import MAX_CONTEXTS, Association, Syntax
from dicomnode.deliver.destination import Destination, Timeouts

IMPLICIT = "1.2.840.10008.1.2"

SERVICES = {
    "verification": "1.2.840.10008.1.1",
    "storage commitment": "1.2.840.10008.1.20.1",
    "query": "1.2.840.10008.5.1.4.1.2.2.1",
}
"""What the node may ask of it besides storing, as SCU, by its everyday name."""

USUAL_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray, for processing
    "1.2.840.10008.5.1.4.1.1.1.2",  # Digital Mammography, for presentation
    "1.2.840.10008.5.1.4.1.1.13.1.3",  # Breast Tomosynthesis
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.7.2",  # Multi-frame Grayscale Byte Secondary Capture
    "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.20",  # Nuclear Medicine
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection
    "1.2.840.10008.5.1.4.1.1.128",  # Positron Emission Tomography
)

ALL_CLASSES = tuple(str(context.abstract_syntax) for context in AllStoragePresentationContexts)

SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    IMPLICIT,
    "1.2.840.10008.1.2.1.99",  # Deflated
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first order
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 lossless
    "1.2.840.10008.1.2.4.201",  # High-Throughput JPEG 2000 lossless
    "1.2.840.10008.1.2.4.50",  # JPEG baseline
    "1.2.840.10008.1.2.4.51",  # JPEG extended
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
)


@dataclass(frozen=True)
class Taken:
    """What a destination accepted: transfer syntaxes by SOP class, none where it refuses the class; and services."""

    classes: dict[str, list[str]] = field(default_factory=dict)
    services: dict[str, bool] = field(default_factory=dict)


def probe(
    destination: Destination,
    calling_aet: str,
    sop_classes: Sequence[str] = USUAL_CLASSES,
    syntaxes: Sequence[str] = SYNTAXES,
    *,
    timeouts: Timeouts = Timeouts(),
    stop: threading.Event | None = None,
) -> Taken:
    """Ask for every pair of `sop_classes` and `syntaxes`, and for the services. Raises AssociationFailed.

    Setting `stop` ends it within a fraction of a second.
    """
    services: list[Syntax] = [(uid, IMPLICIT) for uid in SERVICES.values()]
    pairs: list[Syntax] = [*services, *((sop_class, syntax) for sop_class in sop_classes for syntax in syntaxes)]
    accepted: set[Syntax] = set()
    for start in range(0, len(pairs), MAX_CONTEXTS):
        part = pairs[start : start + MAX_CONTEXTS]
        association = Association.request(destination, calling_aet, part, timeouts, stop or threading.Event())
        accepted |= set(association.contexts)
        association.release()
    classes = {
        sop_class: [syntax for syntax in syntaxes if (sop_class, syntax) in accepted] for sop_class in sop_classes
    }
    return Taken(classes, {name: (uid, IMPLICIT) in accepted for name, uid in SERVICES.items()})


def name_of(uid: str) -> str:
    """The standard's name of a SOP class or transfer syntax."""
    return str(UID(uid).name)
