"""Series facts: what is known of a series after its files may be gone. Rules read only this.

JSON form (column `series_facts.facts`):

    {"attributes": {"ImageType": {"vr": "CS", "absent": 0,
                                  "values": [{"value": ["ORIGINAL", "PRIMARY", "AXIAL"], "count": 20}]},
                    "0019,100C|SIEMENS MR HEADER": {...},
                    "RequestAttributesSequence.ScheduledProcedureStepID": {...},
                    "0043,1029|GEMS_PARM_01": {"vr": "UN", "absent": 0, "values": [], "left_out": true}},
     "computed": {"instance_count": 20, "spacing_between_slices": 2.5, ...}}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scalar = str | int | float | bool


@dataclass(frozen=True)
class ComputedFact:
    """A fact that no single element holds. `on_arrival` ones are known of an instance by itself."""

    kind: Literal["number", "text", "truth value"]
    description: str
    on_arrival: bool = False


COMPUTED_FACTS: Mapping[str, ComputedFact] = {
    "instance_count": ComputedFact("number", "instances of the series that arrived"),
    "image_count": ComputedFact("number", "instances with Rows and Columns in an image storage SOP class"),
    "frame_count": ComputedFact("number", "frames of all images; a single-frame image has one"),
    "sop_class_count": ComputedFact("number", "distinct SOP classes"),
    "modalities": ComputedFact("text", "distinct Modality values"),
    "has_localizer": ComputedFact("truth value", "an instance has LOCALIZER in ImageType"),
    "orientation": ComputedFact(
        "text", "axial, coronal, sagittal or oblique by the slice normal; mixed where images differ"
    ),
    "position_count": ComputedFact("number", "distinct slice positions along the normal"),
    "spacing_between_slices": ComputedFact("number", "median distance of neighbouring positions, in mm"),
    "spacing_uniform": ComputedFact("truth value", "all distances are within 1 % (at least 0.01 mm) of the median"),
    "coverage_mm": ComputedFact("number", "distance of the first and the last position, in mm"),
    "duration_seconds": ComputedFact("number", "from the first to the last acquisition time of the series"),
    "transfer_syntaxes": ComputedFact("text", "distinct transfer syntax UIDs as received", on_arrival=True),
    "calling_aet": ComputedFact("text", "AE titles that sent the instances", on_arrival=True),
    "called_aet": ComputedFact("text", "AE titles they were sent to", on_arrival=True),
}
"""The closed list. None stands for "not known": conditions treat it as an absent attribute. A text fact with several
values holds them sorted and separated by a backslash, as DICOM does; a condition looks at each."""


def private_name(group: int, element: int, creator: str) -> str:
    """The facts' name of a private element: `gggg,10ee|creator`, wherever its block landed (PS3.5 7.8.1)."""
    return f"{group:04X},{0x1000 | element & 0xFF:04X}|{creator.strip()}"


@dataclass(frozen=True)
class AttributeFacts:
    """The distinct values of one element over a series' instances.

    `values` maps each distinct element value, as the tuple of its components (`ImageType` has several), to the
    number of instances that carry it; `absent` counts the instances without the element or with an empty one.
    `left_out`: the values were too large to be kept; there are none here.
    """

    vr: str
    values: Mapping[tuple[Scalar, ...], int] = field(default_factory=dict)
    absent: int = 0
    left_out: bool = False

    def to_json(self) -> dict[str, Any]:
        values = [{"value": list(value), "count": count} for value, count in self.values.items()]
        document = {"vr": self.vr, "absent": self.absent, "values": values}
        return {**document, "left_out": True} if self.left_out else document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "AttributeFacts":
        values = {tuple(row["value"]): int(row["count"]) for row in document["values"]}
        left_out = bool(document.get("left_out"))
        return cls(vr=document["vr"], values=values, absent=int(document["absent"]), left_out=left_out)


@dataclass(frozen=True)
class SeriesFacts:
    """Facts of one generation of a series: elements by name, and facts computed from geometry and counts.

    An element's name is its keyword, `gggg,eeee` where it has none, `gggg,10ee|creator` for a private one, and a
    dotted path inside sequences. A sequence itself is there too, with its number of items as value.
    """

    attributes: Mapping[str, AttributeFacts]
    computed: Mapping[str, Scalar | None]

    def components(self, name: str) -> Iterator[Scalar]:
        """Every distinct component of the attribute's values; nothing when it is absent."""
        facts = self.attributes.get(name)
        seen: set[Scalar] = set()
        for value in facts.values if facts else ():
            for component in value:
                if component not in seen:
                    seen.add(component)
                    yield component

    def only(self, name: str) -> Scalar | None:
        """The first component if all instances agree on it, else None: what envelopes and pipelines ask for."""
        facts = self.attributes.get(name)
        if facts is None or len(facts.values) != 1:
            return None
        value = next(iter(facts.values))
        return value[0] if value else None

    def to_json(self) -> dict[str, Any]:
        return {
            "attributes": {name: facts.to_json() for name, facts in self.attributes.items()},
            "computed": dict(self.computed),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "SeriesFacts":
        attributes = {name: AttributeFacts.from_json(row) for name, row in document["attributes"].items()}
        return cls(attributes=attributes, computed=dict(document["computed"]))
