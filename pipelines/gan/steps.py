"""One optimisation step of each stage."""

import math

import torch
from torch import Tensor
from torch.optim import Adam

from ..simulate.crops import Batch
from . import losses
from .state import State

Figures = dict[str, float]


def pixel_step(state: State, batch: Batch) -> Figures:
    """Charbonnier and gradient loss."""
    set_rate(state.generator_optimizer, state.plan.pixel_rate * _fall(state))
    with _bfloat16():
        output = state.generator(batch.noisy)
    pixel, edges = _fidelity(state, batch, output)
    loss = pixel + state.plan.gradient_weight * edges
    _descend(state.generator_optimizer, loss)
    return {"pixel": float(pixel.detach()), "gradient": float(edges.detach())}


def adversarial_step(state: State, batch: Batch) -> Figures:
    """The discriminator's step on a real and a generated slice, then the generator's against it."""
    plan, centre = state.plan, batch.noisy[:, 1]
    rate = plan.adversarial_rate * _fall(state)
    set_rate(state.generator_optimizer, rate)
    set_rate(state.discriminator_optimizer, rate * plan.discriminator_ratio)
    with _bfloat16():
        output = state.generator(batch.noisy)
        real, _ = state.discriminator(centre, batch.clean)
        fake, _ = state.discriminator(centre, output.detach())
    judged = losses.hinge_discriminator(real.float(), fake.float())
    _descend(state.discriminator_optimizer, judged)
    state.discriminator.requires_grad_(False)
    with _bfloat16():
        _, real_features = state.discriminator(centre, batch.clean)
        scored, fake_features = state.discriminator(centre, output)
    pixel, edges = _fidelity(state, batch, output)
    fooled = losses.hinge_generator(scored.float())
    matched = losses.feature_matching(real_features, fake_features)
    loss = pixel + plan.gradient_weight * edges + plan.adversarial_weight * fooled + plan.feature_weight * matched
    _descend(state.generator_optimizer, loss)
    state.discriminator.requires_grad_(True)
    return {
        "pixel": float(pixel.detach()),
        "gradient": float(edges.detach()),
        "adversarial": float(fooled.detach()),
        "features": float(matched.detach()),
        "discriminator": float(judged.detach()),
        "accuracy": losses.accuracy(real, fake),
    }


def set_rate(optimizer: Adam, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _fidelity(state: State, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
    weight = 1 + (state.plan.lesion_weight(state.stage) - 1) * batch.lesions
    return losses.charbonnier(output, batch.clean, weight), losses.gradient(output, batch.clean)


def _fall(state: State) -> float:
    """The share of the learning rate at this step: a short rise, then half a cosine."""
    plan, total = state.plan, state.plan.steps(state.stage)
    cosine = 0.5 + 0.5 * math.cos(math.pi * state.step / total)
    return min(1.0, (state.step + 1) / 100) * (plan.final_rate + (1 - plan.final_rate) * cosine)


def _descend(optimizer: Adam, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _bfloat16() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)
