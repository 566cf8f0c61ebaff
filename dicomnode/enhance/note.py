"""What selecting and sorting read in the header of an instance; with a note of it the header need not be read again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from dicomnode.domain.facts import SeriesFacts
from dicomnode.enhance.api import Envelope, Pipeline
from dicomnode.enhance.errors import PipelineFault
from dicomnode.enhance.spot import Spot, spot_of
from dicomnode.observe import wordless

_NOWHERE, _NOTHING = Spot((), 0.0, 0.0), SeriesFacts({}, {})


@dataclass(frozen=True)
class Note:
    """Why an instance is left out; or else where it lies, and of its facts those that the envelope asks for."""

    skip: str
    spot: Spot = _NOWHERE
    facts: SeriesFacts = _NOTHING

    def to_json(self) -> dict[str, Any]:
        return {"skip": self.skip, "spot": self.spot.to_json(), "facts": self.facts.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Note":
        return cls(document["skip"], Spot.from_json(document["spot"]), SeriesFacts.from_json(document["facts"]))


def note_of(pipeline: Pipeline, header: Dataset, instance_facts: Callable[[Dataset], SeriesFacts]) -> Note:
    """Ask whether it is a single-frame image in the pipeline's units, then `pipeline.skips`.

    Raises PipelineFault when `skips` fails.
    """
    if reason := _not_for_a_network(pipeline, header):
        return Note(reason)
    facts = instance_facts(header)
    if reason := _skip_reason(pipeline, facts):
        return Note(reason)
    return Note("", spot_of(header), _asked_by(pipeline.envelope, facts))


def _skip_reason(pipeline: Pipeline, facts: SeriesFacts) -> str:
    try:
        return pipeline.skips(facts) or ""
    except Exception as error:
        raise PipelineFault(f"pipeline {pipeline.name} failed to judge an instance: {wordless(error)}") from error


def _asked_by(envelope: Envelope, facts: SeriesFacts) -> SeriesFacts:
    """Only what the envelope names: the whole facts of 2,000 instances would fill hundreds of megabytes."""
    names = {*envelope.text, *envelope.number, *envelope.required}
    return SeriesFacts({name: facts.attributes[name] for name in sorted(names) if name in facts.attributes}, {})


def _not_for_a_network(pipeline: Pipeline, header: Dataset) -> str:
    try:
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        samples, frames = int(header.get("SamplesPerPixel") or 1), int(header.get("NumberOfFrames") or 1)
    except Exception:  # an element with a broken value raises what its VR's reader raises
        return "its header cannot be read"
    if rows < 1 or columns < 1:
        return "not an image"
    if frames > 1:
        return "multi-frame images are not enhanced yet"
    palette = header.get("PhotometricInterpretation") == "PALETTE COLOR"
    if pipeline.units == "physical" and (samples > 1 or palette):
        return "a colour image has no physical units"
    return ""
