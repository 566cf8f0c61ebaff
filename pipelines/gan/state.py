"""Everything a training run would need to go on, and its one checkpoint file (safetensors, replaced atomically)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Adam

from dicomnode.enhance.device import fast_bfloat16

from .discriminator import Discriminator
from .generator import Generator
from .plan import STAGES, Plan, Stage

Tensors = dict[str, Tensor]
_Module = TypeVar("_Module", bound=nn.Module)


class State:
    """Generator, its moving average, discriminator, their optimisers, and how far the run has come.

    `pixel_end` keeps the average at the end of the pixel stage: one of the two ends that are shipped. `unit` is the
    intensity that counts as a difference; `accuracy` is how often the discriminator has been right of late.
    """

    def __init__(self, plan: Plan, unit: float, device: str | torch.device = "cpu") -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.unit, self.device = plan, unit, torch.device(device)
        self.stage: Stage = "pixel"
        self.step = 0
        self.accuracy = 0.5
        self.generator = self._placed(Generator(plan.width))
        self.average = Generator(plan.width).to(self.device)
        self.average.load_state_dict(self.generator.state_dict())
        self.discriminator = self._placed(Discriminator(unit, plan.discriminator_layers))
        self.pixel_end: Tensors = {}
        self.generator_optimizer = Adam(self.generator.parameters(), betas=(0.9, 0.99))
        self.discriminator_optimizer = Adam(self.discriminator.parameters(), betas=(0.0, 0.99))

    def autocast(self) -> torch.autocast:
        """bfloat16 where the device computes it in hardware."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=fast_bfloat16(self.device))

    def begin_adversarial(self) -> None:
        """Start the second stage from the averaged generator of the first."""
        self.stage, self.step = "adversarial", 0
        self.pixel_end = {name: value.clone() for name, value in self.average.state_dict().items()}
        self.generator.load_state_dict(self.pixel_end)
        self.generator_optimizer = Adam(self.generator.parameters(), betas=(0.5, 0.99))

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the generator; faster while the run is young."""
        decay = self.plan.ema
        if self.stage == "pixel":
            decay = min(decay, (1 + self.step) / (10 + self.step))
        current = self.generator.state_dict()
        for name, value in self.average.state_dict().items():
            value.lerp_(current[name], 1 - decay)

    def save(self, path: Path) -> None:
        """Write the checkpoint; the old one stays until the new one is whole."""
        tensors = {f"pixel_end.{name}": value for name, value in self.pixel_end.items()}
        for name, module in self._modules().items():
            tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self._optimizers().items():
            for row, moments in optimizer.state_dict()["state"].items():
                tensors |= {f"{name}.{row}.{key}": value for key, value in moments.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        notes = {"stage": self.stage, "step": str(self.step), "plan": _settings(self.plan, self.unit)}
        notes["accuracy"] = repr(self.accuracy)
        save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata=notes)
        partial.replace(path)

    @classmethod
    def resume(cls, path: Path, plan: Plan, unit: float, device: str | torch.device = "cpu") -> "State":
        """Read a checkpoint back. Raises ValueError if another plan wrote it."""
        with safe_open(path, framework="pt") as file:
            notes = file.metadata()
        if notes["plan"] != _settings(plan, unit):
            raise ValueError(f"{path} belongs to a run with other settings; delete it or start with --afresh.")
        tensors = load_file(path)
        state = cls(plan, unit, device)
        state.stage, state.step = STAGES[STAGES.index(notes["stage"])], int(notes["step"])
        state.accuracy = float(notes["accuracy"])
        state.pixel_end = {name: value.to(device) for name, value in _under(tensors, "pixel_end").items()}
        for name, module in state._modules().items():
            module.load_state_dict(_under(tensors, name))
        if state.stage == "adversarial":
            state.generator_optimizer = Adam(state.generator.parameters(), betas=(0.5, 0.99))
        for name, optimizer in state._optimizers().items():
            _restore(optimizer, _under(tensors, name))
        return state

    def _placed(self, module: _Module) -> _Module:
        return module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "average": self.average, "discriminator": self.discriminator}

    def _optimizers(self) -> dict[str, Adam]:
        return {"of_generator": self.generator_optimizer, "of_discriminator": self.discriminator_optimizer}


def _settings(plan: Plan, unit: float) -> str:
    return repr((asdict(plan), unit))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _restore(optimizer: Adam, moments: Mapping[str, Tensor]) -> None:
    document = optimizer.state_dict()
    rows: dict[int, Tensors] = {}
    for name, value in moments.items():
        row, key = name.split(".")
        rows.setdefault(int(row), {})[key] = value
    optimizer.load_state_dict({"state": rows, "param_groups": document["param_groups"]})
