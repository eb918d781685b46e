"""The training loop of all networks here: schedule, optimiser, EMA of the weights, checkpoints."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

STATE = "state.pt"
FIRST_REPORT_S, REPORT_EVERY_S = 30, 300


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The length and the hyperparameters of a run.

    minutes: of CPU time, so that a busy machine doesn't shorten the run; on a GPU, wall-clock time.
    learning_rate: its peak, after a linear warm-up over the share `warm_up` of the run and before a
    cosine decay to zero; weight_decay: of matrices and kernels only; ema_decay: of the exponential
    moving average of the weights; max_norm: of the gradient, by clipping; beta2: AdamW's.
    """

    minutes: float
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    ema_decay: float = 0.998
    max_norm: float = 2.0
    beta2: float = 0.98
    warm_up: float = 0.04

    def learning_rate_at(self, share: float) -> float:
        """The learning rate after this share of the run."""
        warm_up = min(1.0, share / self.warm_up + 0.02)
        return self.learning_rate * warm_up * 0.5 * (1.0 + float(np.cos(np.pi * share)))


class Trainer(ABC):
    """Trains a network on the device of its weights, and keeps an EMA of the weights.

    ema: the network with the averaged weights, the result of the run. steps, seconds: the optimiser
    steps and the time (see `Schedule`) so far; a checkpoint contains both.
    """

    def __init__(self, network: Any, schedule: Schedule) -> None:
        self.device: torch.device = next(network.parameters()).device
        self.network: Any = network.to(memory_format=torch.channels_last)
        self.ema: Any = deepcopy(network).eval().requires_grad_(False)
        self.steps, self.seconds = 0, 0.0
        self._schedule = schedule
        parameters = list(network.parameters())
        groups = [
            {
                "params": [p for p in parameters if p.ndim > 1],
                "weight_decay": schedule.weight_decay,
            },
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            groups, lr=schedule.learning_rate, betas=(0.9, schedule.beta2)
        )
        self._clock_s = time.process_time if self.device.type == "cpu" else time.perf_counter

    @abstractmethod
    def losses(self) -> dict[str, torch.Tensor]:
        """The terms of the loss on the next batch; their sum is minimised."""

    @property
    def share(self) -> float:
        """The share of the run that is done, 0 to 1."""
        return min(1.0, self.seconds / 60 / self._schedule.minutes)

    def train(self, work: Path, report: Callable[[], str]) -> None:
        """Trains to the end of the run, starting from the checkpoint in `work` if there is one.

        Prints progress. Every few minutes of the schedule's time and at the end it saves a
        checkpoint and prints the report.
        """
        work.mkdir(parents=True, exist_ok=True)
        self.resume(work / STATE)
        next_report = self.seconds + FIRST_REPORT_S
        while self.share < 1.0:
            losses = self.step()
            if self.steps % 50 == 0:
                parts = " ".join(f"{name} {float(loss):.2f}" for name, loss in losses.items())
                print(f"step {self.steps} {self.seconds / 60:.1f} min {parts}", flush=True)
            if self.seconds > next_report or self.share >= 1.0:
                next_report = self.seconds + REPORT_EVERY_S
                self.save(work / STATE)
                print(report(), flush=True)

    def step(self) -> dict[str, torch.Tensor]:
        """One optimiser step; returns its loss terms, on a GPU without waiting for them."""
        started_s = self._clock_s()
        for group in self._optimiser.param_groups:
            group["lr"] = self._schedule.learning_rate_at(self.share)
        losses = self.losses()
        self._optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._schedule.max_norm)
        self._optimiser.step()
        self.steps += 1
        self._update_ema()
        self.seconds += self._clock_s() - started_s
        return {name: loss.detach() for name, loss in losses.items()}

    def save(self, path: Path) -> None:
        """Writes a checkpoint: network, EMA, optimiser, steps and time."""
        state = {
            "network": self.network.state_dict(), "average": self.ema.state_dict(),
            "optimiser": self._optimiser.state_dict(), "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        """Loads a checkpoint that `save` wrote; does nothing if there is no such file."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    def _update_ema(self) -> None:
        """Moves the EMA towards the network, faster in the first steps."""
        decay = min(self._schedule.ema_decay, (1 + self.steps) / (10 + self.steps))
        averages, weights = self.ema.state_dict(), self.network.state_dict()
        names = [name for name, value in averages.items() if value.is_floating_point()]
        update: Any = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        update([averages[name] for name in names], [weights[name] for name in names], None)
        for name in averages.keys() - names:
            averages[name].copy_(weights[name])
