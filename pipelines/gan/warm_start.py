"""Training that begins at the two ends of weights that were trained before, instead of at nothing."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from .export import ENDS
from .state import State, Tensors


class WarmState(State):
    """A state whose stages begin at the ends of earlier weights.

    The pixel stage begins at the pixel end. The adversarial stage begins at the adversarial end, moved by what the
    pixel stage has changed: both ends lie close enough together for weights between them to work, so what was learned
    at one of them is a step in the right direction at the other. The discriminator begins anew: it is never shipped.
    """

    ends: tuple[Tensors, Tensors]

    def begin(self, weights: Path) -> None:
        """Put generator and average at the pixel end. Raises ValueError if the weights are of another network."""
        self.remember(weights)
        self._put(self.ends[0])

    def remember(self, weights: Path) -> None:
        """Only note the ends: for a state that was read back from a checkpoint. Raises ValueError as `begin`."""
        tensors, known = load_file(weights, str(self.device)), self.average.state_dict()
        pixel, adversarial = (_of(tensors, end) for end in ENDS)
        for end in (pixel, adversarial):
            if {name: value.shape for name, value in end.items()} != {name: v.shape for name, v in known.items()}:
                raise ValueError(
                    f"{weights.name} is of another network than the one that is trained now; use --from-scratch."
                )
        self.ends = pixel, adversarial

    def begin_adversarial(self) -> None:
        """As the state's, but from the adversarial end."""
        super().begin_adversarial()
        pixel, adversarial = self.ends
        self._put({name: adversarial[name] + learned - pixel[name] for name, learned in self.pixel_end.items()})

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        self.generator.load_state_dict(dict(weights))
        self.average.load_state_dict(dict(weights))


def _of(tensors: Mapping[str, Tensor], end: str) -> Tensors:
    return {name.removeprefix(f"{end}."): value for name, value in tensors.items() if name.startswith(f"{end}.")}
