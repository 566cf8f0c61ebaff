"""Facts of an instance, and of a series as the sum of its instances' facts."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from pydicom import Dataset
from pydicom.uid import UID

from dicomnode.complete.elements import Value, elements
from dicomnode.complete.geometry import acquisition_seconds, slice_geometry
from dicomnode.complete.tallies import MAX_SERIES, Tallies, bounded
from dicomnode.domain.facts import AttributeFacts, Scalar, SeriesFacts

_COUNTS = ("instance_count", "image_count", "frame_count")
_RECEIPT = ("transfer_syntaxes", "calling_aet", "called_aet")


def instance_facts(
    header: Dataset, *, calling_aet: str = "", called_aet: str = "", transfer_syntax: str = ""
) -> SeriesFacts:
    """Facts of one instance: each element counted once, computed facts as for a series of one.

    `header` may lack its pixel data. The receipt knows the AE titles and the transfer syntax UID; what is not passed
    in is not known. Never raises for a broken element (see `complete.elements` for what is left out or cut, and
    `complete.tallies` for what is too large).
    """
    found = _counted(header, calling_aet=calling_aet, called_aet=called_aet, transfer_syntax=transfer_syntax)
    return SeriesFacts(found.attributes, {**found.computed, **_derived(found.attributes)})


def _counted(header: Dataset, *, calling_aet: str, called_aet: str, transfer_syntax: str) -> SeriesFacts:
    """Facts of one instance without those that follow from its values."""
    values: dict[str, tuple[str, dict[Value, int]]] = {}
    for name, vr, value in elements(header):
        # Items of a sequence may repeat a value: it is still one instance that carries it.
        values.setdefault(name, (vr, {}))[1][value] = 1
    attributes = bounded({name: AttributeFacts(vr, counted) for name, (vr, counted) in values.items()})
    frames = _frames(attributes)
    own = {
        "instance_count": 1,
        "image_count": int(frames > 0),
        "frame_count": frames,
        "transfer_syntaxes": transfer_syntax or None,
        "calling_aet": calling_aet.strip() or None,
        "called_aet": called_aet.strip() or None,
    }
    return SeriesFacts(attributes, own)


def combine(facts: Iterable[SeriesFacts]) -> SeriesFacts:
    """Facts of all instances together, whatever their order and grouping, unless they are too large to be kept whole:
    combining is associative."""
    accumulator = Accumulator()
    for each in facts:
        accumulator.merge(each)
    return accumulator.facts()


class Accumulator:
    """Sums facts up, one header (`add`) or the facts of any number of instances (`merge`) at a time."""

    def __init__(self) -> None:
        self._tallies = Tallies(MAX_SERIES)
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._texts: dict[str, set[str]] = {name: set() for name in _RECEIPT}

    def add(self, header: Dataset, *, calling_aet: str = "", called_aet: str = "", transfer_syntax: str = "") -> None:
        """Count one more instance in: as merging its `instance_facts` would, for less."""
        self.merge(_counted(header, calling_aet=calling_aet, called_aet=called_aet, transfer_syntax=transfer_syntax))

    def merge(self, facts: SeriesFacts) -> None:
        """Count in what `instance_facts`, `combine` or another accumulator's `facts` gave."""
        instances = _whole(facts.computed.get("instance_count"))
        for name, attribute in facts.attributes.items():
            self._tallies.add(name, attribute, instances - attribute.absent)
        for name in _COUNTS:
            self._counts[name] += _whole(facts.computed.get(name))
        for name in _RECEIPT:
            self._texts[name].update(filter(None, str(facts.computed.get(name) or "").split("\\")))

    def facts(self) -> SeriesFacts:
        """Facts of all that was counted in so far."""
        instances = self._counts["instance_count"]
        attributes = self._tallies.attributes(instances)
        texts = {name: "\\".join(sorted(found)) or None for name, found in self._texts.items()}
        return SeriesFacts(attributes, {**self._counts, **texts, **_derived(attributes)})


def _derived(attributes: Mapping[str, AttributeFacts]) -> dict[str, Scalar | None]:
    """Computed facts that follow from the distinct values alone."""
    modalities = sorted({str(part) for part in _components(attributes, "Modality")})
    return {
        "sop_class_count": len(attributes["SOPClassUID"].values) if "SOPClassUID" in attributes else 0,
        "modalities": "\\".join(modalities) or None,
        "has_localizer": any(str(part).upper() == "LOCALIZER" for part in _components(attributes, "ImageType")),
        **slice_geometry(attributes),
        "duration_seconds": acquisition_seconds(attributes),
    }


def _components(attributes: Mapping[str, AttributeFacts], name: str) -> Iterable[Scalar]:
    found = attributes.get(name)
    return (component for value in (found.values if found else ()) for component in value)


def _frames(attributes: Mapping[str, AttributeFacts]) -> int:
    """Frames of one instance: none unless it has Rows, Columns and an image storage SOP class (or a private one)."""

    def first(name: str) -> Scalar | None:
        return next(iter(_components(attributes, name)), None)

    if not first("Rows") or not first("Columns") or not _is_image_class(str(first("SOPClassUID") or "")):
        return 0
    return max(_whole(first("NumberOfFrames")), 1)


@lru_cache(maxsize=1024)
def _is_image_class(uid: str) -> bool:
    """By the class's name in PS3.6: "CT Image Storage" is one, "Segmentation Storage" is not; unknown classes are."""
    name = UID(uid).name
    return name == uid or "Image Storage" in name


def _whole(value: Scalar | None) -> int:
    return int(value) if isinstance(value, int | float) else 0
