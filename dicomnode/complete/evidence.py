"""When a series is complete: evidence first, quiet time otherwise. Pure: the caller has the clock and the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicomnode.domain.facts import SeriesFacts
from dicomnode.settings import CompletionSettings


@dataclass(frozen=True)
class Manifest:
    """A list of SOP Instance UIDs that someone vouched for; `source` names it, e.g. "storage commitment request"."""

    source: str
    sop_uids: frozenset[str]
    claims_all: bool = True
    """It says of itself that nothing else belongs to the series. One that does not proves nothing while there is more
    than it lists: many modalities ask for storage commitment of every batch, or of every image.
    """

    def may_hold(self, count: int) -> bool:
        """Whether it may be satisfied by so many instances."""
        return 0 < len(self.sop_uids) <= count and (self.claims_all or len(self.sop_uids) == count)

    def holds(self, sop_uids: Collection[str]) -> bool:
        """Whether the series is complete by it, with these instances here."""
        return self.may_hold(len(sop_uids)) and self.sop_uids <= set(sop_uids)


@dataclass(frozen=True)
class Evidence:
    """What is known of one series at its last arrival.

    `instance_numbers` holds one entry per image, repeated if a number repeats; `announced` the distinct values of
    ImagesInAcquisition (0020,1002) and `acquisitions` those of AcquisitionNumber. `commanded_by` is who asked for
    completion, empty if nobody did.
    """

    last_arrival: datetime
    image_count: int = 0
    instance_numbers: Collection[int] = ()
    announced: frozenset[int] = frozenset()
    acquisitions: frozenset[int] = frozenset()
    lacks_numbers: bool = False
    """An instance lacks ImagesInAcquisition or AcquisitionNumber."""
    senders: frozenset[str] = frozenset()
    sop_uids: Collection[str] = ()
    manifests: tuple[Manifest, ...] = ()
    commanded_by: str = ""

    @classmethod
    def of(
        cls, facts: SeriesFacts, last_arrival: datetime, manifests: tuple[Manifest, ...] = (), commanded_by: str = ""
    ) -> "Evidence":
        """The evidence that lies in the facts of the instances so far."""
        numbers = facts.attributes.get("InstanceNumber")
        repeated = [_only(value) for value, count in (numbers.values if numbers else {}).items() for _ in range(count)]
        names = ("ImagesInAcquisition", "AcquisitionNumber")
        uids = facts.attributes.get("SOPInstanceUID")
        return cls(
            last_arrival=last_arrival,
            image_count=int(facts.computed.get("image_count") or 0),
            instance_numbers=tuple(number for number in repeated if number is not None),
            announced=_whole_numbers(facts, names[0]),
            acquisitions=_whole_numbers(facts, names[1]),
            lacks_numbers=any(name not in facts.attributes or facts.attributes[name].absent for name in names),
            senders=frozenset(filter(None, str(facts.computed.get("calling_aet") or "").split("\\"))),
            sop_uids=frozenset(str(value[0]) for value in (uids.values if uids else ())),
            manifests=manifests,
            commanded_by=commanded_by,
        )


@dataclass(frozen=True)
class Due:
    """The series is complete from `at` on, because of `reason` (a plain sentence), if nothing arrives before.

    With `needs_closed_association` it holds only while no association is open from a sender of the series.
    """

    at: datetime
    reason: str
    needs_closed_association: bool = False


def dues(evidence: Evidence, settings: CompletionSettings) -> tuple[Due, ...]:
    """Every ground on which the series is or will be complete, the strongest first; the quiet time is always last."""
    found: list[Due] = []
    if evidence.commanded_by:
        found.append(Due(evidence.last_arrival, f"{evidence.commanded_by} asked for completion"))
    for manifest in evidence.manifests:
        if manifest.holds(evidence.sop_uids):
            reason = f"all {len(manifest.sop_uids)} instances listed by the {manifest.source} have arrived"
            found.append(Due(evidence.last_arrival, reason))
    if _announced_reached(evidence):
        reason = f"all {evidence.image_count} images the modality announced have arrived"
        at = evidence.last_arrival + timedelta(seconds=settings.grace_seconds)
        found.append(Due(at, reason, needs_closed_association=True))
    quiet = _quiet_seconds(evidence.senders, settings)
    found.append(Due(evidence.last_arrival + timedelta(seconds=quiet), f"no instance for {quiet:g} s"))
    return tuple(found)


def due(evidence: Evidence, settings: CompletionSettings, *, association_open: bool = False) -> Due:
    """The ground that counts now: the earliest; with an association open, the earliest that does not need it closed.

    An association that stays open for ever therefore delays a series by no more than the quiet time.
    """
    usable = [each for each in dues(evidence, settings) if not (association_open and each.needs_closed_association)]
    return min(usable, key=lambda each: each.at)


def _quiet_seconds(senders: Collection[str], settings: CompletionSettings) -> float:
    """The longest quiet time of those who sent the series."""
    own = {title.strip(): seconds for title, seconds in settings.per_sender.items()}
    return max((own.get(sender.strip(), settings.quiet_seconds) for sender in senders), default=settings.quiet_seconds)


def _announced_reached(evidence: Evidence) -> bool:
    """Numbers alone prove nothing: 1..k is contiguous during every in-order send. The announced count must be reached.

    It counts the images of one acquisition (PS3.3 C.7.6.1), so two acquisitions in the series make it void.
    """
    if len(evidence.announced) != 1 or len(evidence.acquisitions) != 1 or evidence.lacks_numbers:
        return False
    (announced,) = evidence.announced
    return 0 < announced == evidence.image_count and sorted(evidence.instance_numbers) == list(range(1, announced + 1))


def _whole_numbers(facts: SeriesFacts, name: str) -> frozenset[int]:
    found = facts.attributes.get(name)
    numbers = (_only(value) for value in (found.values if found else ()))
    return frozenset(number for number in numbers if number is not None)


def _only(value: tuple[object, ...]) -> int | None:
    return value[0] if len(value) == 1 and isinstance(value[0], int) else None
