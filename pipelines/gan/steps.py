"""One optimisation step of each stage."""

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import Adam

from ..simulate.crops import Batch
from . import losses
from .state import State

Figures = dict[str, float]
_ACCURACY_MEMORY = 0.98


def pixel_step(state: State, batch: Batch) -> Figures:
    """Charbonnier and gradient loss."""
    set_rate(state.generator_optimizer, state.plan.pixel_rate * _fall(state))
    with state.autocast():
        output = state.generator(batch.noisy)
    pixel, edges = _fidelity(state, batch, output)
    loss = pixel + state.plan.gradient_weight * edges
    _descend(state.generator_optimizer, loss)
    return {"pixel": float(pixel.detach()), "gradient": float(edges.detach()), "detail": _detail(output, batch.clean)}


def adversarial_step(state: State, batch: Batch) -> Figures:
    """The discriminator's step on a real and a generated slice, then the generator's against it."""
    plan, centre = state.plan, batch.noisy[:, 1]
    rate = plan.adversarial_rate * _fall(state)
    set_rate(state.generator_optimizer, rate)
    set_rate(state.discriminator_optimizer, rate * plan.discriminator_ratio)
    with state.autocast():
        output = state.generator(batch.noisy)
    judged = _discriminate(state, batch, output.detach())
    state.discriminator.requires_grad_(False)
    with state.autocast():
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
        "detail": _detail(output, batch.clean),
        "adversarial": float(fooled.detach()),
        "features": float(matched.detach()),
        **judged,
    }


def _discriminate(state: State, batch: Batch, output: Tensor) -> Figures:
    """One step of the discriminator, unless it is right too often and rests; what it thought either way."""
    plan, centre = state.plan, batch.noisy[:, 1]
    with state.autocast():
        real, _ = state.discriminator(centre, batch.clean)
        fake, _ = state.discriminator(centre, output)
    judged = losses.hinge_discriminator(real.float(), fake.float())
    accuracy = losses.accuracy(real, fake)
    state.accuracy = _ACCURACY_MEMORY * state.accuracy + (1 - _ACCURACY_MEMORY) * accuracy
    rests = state.accuracy > plan.discriminator_rest
    figures = {"discriminator": float(judged.detach()), "accuracy": accuracy, "rested": float(rests)}
    if state.step % plan.penalty_every == 0:
        penalty = _penalty(state, batch)
        figures["penalty"] = float(penalty.detach())
        judged = judged + plan.penalty_weight / 2 * plan.penalty_every * penalty
    if not rests:
        _descend(state.discriminator_optimizer, judged)
    return figures


def _penalty(state: State, batch: Batch) -> Tensor:
    """In float32: a gradient of a gradient loses too much in bfloat16."""
    image = batch.clean.detach().requires_grad_(True)
    scores, _ = state.discriminator(batch.noisy[:, 1], image)
    a_patch: Tensor = losses.gradient_penalty(scores, image, state.unit) / scores[0].numel()
    return a_patch


def set_rate(optimizer: Adam, rate: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def _fidelity(state: State, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
    weight = 1 + (state.plan.lesion_weight(state.stage) - 1) * batch.lesions
    pixel = losses.charbonnier(output, batch.clean, weight, state.unit)
    return pixel, losses.gradient(output, batch.clean, state.unit)


@torch.no_grad()
def _detail(output: Tensor, clean: Tensor) -> float:
    """How much fine detail the output has, as a share of the target's: a generator that collapses loses it."""
    fine = [image - functional.avg_pool2d(image, 5, stride=1, padding=2) for image in (output.detach(), clean)]
    return float(fine[0].abs().median() / fine[1].abs().median().clamp(min=1e-6))


def _fall(state: State) -> float:
    """The share of the learning rate at this step: a short rise, then half a cosine."""
    plan, total = state.plan, state.plan.steps(state.stage)
    cosine = 0.5 + 0.5 * math.cos(math.pi * state.step / total)
    return min(1.0, (state.step + 1) / 100) * (plan.final_rate + (1 - plan.final_rate) * cosine)


def _descend(optimizer: Adam, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
