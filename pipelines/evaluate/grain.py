"""Texture: is the noise that is left like that of a full dose, and does the adversarial end bring it nearer?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .bench import Bench, Variant, at_strength
from .markdown import table
from .methods import ENDS
from .texture import Spectrum, noise_texture, spectrum

REFERENCE = "full dose"


@dataclass(frozen=True)
class Level:
    """Noise in HU, its mean frequency in cycles/px, and how far its spectrum's form is from full dose, 0 to 1."""

    noise: float
    frequency: float
    distance: float


@dataclass(frozen=True)
class Grain:
    """By label of the method; `strengths` at which both ends were measured."""

    title: ClassVar[str] = "Texture"
    levels: dict[str, Level]
    spectra: dict[str, Spectrum]
    strengths: tuple[float, ...]

    def off(self, label: str) -> float:
        """How far the mean frequency is from that of full dose, %."""
        return 100 * (self.levels[label].frequency / self.levels[REFERENCE].frequency - 1)

    def nearer(self, strength: float) -> float:
        """How much nearer the adversarial end's spectrum is to full dose than the pixel end's; negative: farther."""
        pixel, adversarial = (self.levels[at_strength(end, strength)].distance for end in ENDS)
        return pixel - adversarial

    def markdown(self) -> str:
        """How it was measured, a row for each method, and what the adversarial stage did."""
        head = ["method", "noise HU", "mean frequency c/px", "against full dose", "distance of spectra"]
        rows = [
            [label, f"{one.noise:.1f}", f"{one.frequency:.3f}", f"{self.off(label):+.1f} %", f"{one.distance:.3f}"]
            for label, one in self.levels.items()
        ]
        return (
            "Radial noise power spectrum in flat soft tissue (16 x 16 px, Hann window). Full dose: the slices as "
            "scanned. Distance: half the summed difference of the two spectra, each taken as shares of its power, so "
            "0 is the same grain and 1 none in common.\n\n"
            + table(head, rows)
            + "\n\nWithout the adversarial stage (the ablation, which is the pixel end): "
            + " ".join(self._ablation(strength) for strength in self.strengths)
        )

    def _ablation(self, strength: float) -> str:
        pixel, adversarial = (self.levels[at_strength(end, strength)].distance for end in ENDS)
        falls = "falls" if adversarial < pixel else "does not fall"
        return (
            f"at strength {strength:g} the adversarial stage takes the distance from {pixel:.3f} to {adversarial:.3f}: "
            f"it {falls}."
        )


def measure_grain(bench: Bench) -> Grain:
    """From the outputs that are there already."""
    strengths = tuple(dict.fromkeys((bench.strength, 1.0)))
    full = [Variant(at_strength(end, strength), end, strength) for strength in strengths for end in ENDS]
    variants = {one.label: one for one in (*bench.variants(), *full)}
    flat = [row for row, one in enumerate(bench.slices) if one.places]
    places = [bench.slices[row].places for row in flat]
    images = {REFERENCE: [bench.slices[row].clean for row in flat]}
    for label, variant in variants.items():
        images[label] = [bench.outputs[variant.method].image(row, variant.strength) for row in flat]
    spectra = {label: spectrum(own, places) for label, own in images.items()}
    levels = {}
    for label, own in images.items():
        noise, frequency = np.mean([noise_texture(image, at) for image, at in zip(own, places, strict=True)], 0)
        levels[label] = Level(float(noise), float(frequency), spectra[label].distance(spectra[REFERENCE]))
    return Grain(levels, spectra, strengths)
