"""The training loop of the pretraining scripts: any step can be the last one, and a second call goes on after it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

EVERY = 250  # steps between two checkpoints
Step = Callable[[int], tuple[torch.Tensor, float]]
"""Returns the loss of a step, and the number that its history keeps."""


@dataclass(frozen=True)
class Training:
    """What a loop trains: a model, its optimizer with the highest learning rate, and perhaps the averaged weights."""

    name: str
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    peak: float
    averaged: torch.optim.swa_utils.AveragedModel | None = None
    measure: str = "loss"  # what the history holds


def averaged_model(model: torch.nn.Module, decay: float) -> torch.optim.swa_utils.AveragedModel:
    """Return the exponential moving average of a model's weights."""
    return torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay))


def run_steps(training: Training, step_loss: Step, path: Path, *, steps: int) -> list[float]:
    """Train up to ``steps`` steps from the checkpoint, if there is one; return the history of all steps.

    Args:
        training: changed in place.
        step_loss: called with the number of the step; all of its random draws must follow from that number.
        path: of the checkpoint.
        steps: in total.
    """
    parts = {"model": training.model, "averaged": training.averaged, "optimizer": training.optimizer}
    parts = {name: part for name, part in parts.items() if part is not None}
    start, history = 0, []
    if path.exists():
        state = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        start, history = state["step"], state["history"]
    began = time.monotonic()
    for step in range(start, steps):
        loss, shown = step_loss(step)
        for group in training.optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, training.peak)
        training.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        training.optimizer.step()
        if training.averaged is not None:
            training.averaged.update_parameters(training.model)
        history.append(shown)
        if (step + 1) % EVERY == 0 or step + 1 == steps:
            states = {name: part.state_dict() for name, part in parts.items()}
            save(states | {"step": step + 1, "history": history}, path)
            rate = (step + 1 - start) / (time.monotonic() - began)
            mean = np.mean(history[-EVERY:])
            print(f"{training.name} {step + 1}/{steps}  {training.measure} {mean:.4f}  {rate:.2f} steps/s", flush=True)
    return history


def save(state: dict[str, object], path: Path) -> None:
    """Write the state of a training; a kill leaves the earlier one."""
    partial = path.with_suffix(".incomplete")
    torch.save(state, partial)
    os.replace(partial, path)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm up over 200 steps, stay constant, and fall linearly over the last 30 %.

    >>> learning_rate(0, 1000, 1.0), learning_rate(500, 1000, 1.0), round(learning_rate(999, 1000, 1.0), 3)
    (0.005, 1.0, 0.02)
    """
    return peak * min(1.0, (step + 1) / 200, max(0.02, (steps - step) / (0.3 * steps)))
