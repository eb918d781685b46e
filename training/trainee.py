"""What every training run of a network here has in common: budget, optimiser, running average."""

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
class Pace:
    """How long and how fast a run learns.

    minutes: of CPU time, so that a busy machine doesn't shorten the run; on a GPU the clock's.
    rate: the highest learning rate; decay: of matrices and kernels; average: how much of the
    running average a step keeps; clip: the longest gradient; memory: AdamW's second beta; warm_up:
    the share of the run until the rate is reached, from where a cosine leads to zero.
    """

    minutes: float
    rate: float = 2e-3
    decay: float = 0.1
    average: float = 0.998
    clip: float = 2.0
    memory: float = 0.98
    warm_up: float = 0.04

    def rate_at(self, share: float) -> float:
        """The learning rate after this share of the run."""
        warm_up = min(1.0, share / self.warm_up + 0.02)
        return self.rate * warm_up * 0.5 * (1.0 + float(np.cos(np.pi * share)))


class Trainee(ABC):
    """A network that learns, and the running average of its weights, which is what is kept of it.

    It learns on the device that its weights are on. steps, seconds: what was done, in optimiser
    steps and in `Pace`'s time; they survive `keep` and `resume`.
    """

    def __init__(self, network: Any, pace: Pace) -> None:
        self.device: torch.device = next(network.parameters()).device
        self.network: Any = network.to(memory_format=torch.channels_last)
        self.average: Any = deepcopy(network).eval().requires_grad_(False)
        self.steps, self.seconds = 0, 0.0
        self._pace = pace
        every = list(network.parameters())
        groups = [
            {"params": [p for p in every if p.ndim > 1], "weight_decay": pace.decay},
            {"params": [p for p in every if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=pace.rate, betas=(0.9, pace.memory))
        self._clock_s = time.process_time if self.device.type == "cpu" else time.perf_counter

    @abstractmethod
    def losses(self) -> dict[str, torch.Tensor]:
        """The parts of the loss on the next batch; their sum is learnt from."""

    @property
    def share(self) -> float:
        """How much of the run is done, 0 to 1."""
        return min(1.0, self.seconds / 60 / self._pace.minutes)

    def train(self, work: Path, report: Callable[[], str]) -> None:
        """To the end of the run, from where `work` says an earlier process had come to.

        Prints progress; every few minutes of CPU time and at the end keeps the state and prints
        the report.
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
                self.keep(work / STATE)
                print(report(), flush=True)

    def step(self) -> dict[str, torch.Tensor]:
        """One optimiser step; returns the parts of its loss, still on their way on a GPU."""
        started_s = self._clock_s()
        for group in self._optimiser.param_groups:
            group["lr"] = self._pace.rate_at(self.share)
        losses = self.losses()
        self._optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._pace.clip)
        self._optimiser.step()
        self.steps += 1
        self._follow()
        self.seconds += self._clock_s() - started_s
        return {name: loss.detach() for name, loss in losses.items()}

    def keep(self, path: Path) -> None:
        """Save all that resuming needs."""
        state = {
            "network": self.network.state_dict(), "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(), "steps": self.steps, "seconds": self.seconds,
        }  # fmt: skip
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        """Go on where `keep` left off; from the beginning where there is no such file."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True, map_location=self.device)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    def _follow(self) -> None:
        """Move the running average towards the network."""
        keep = min(self._pace.average, (1 + self.steps) / (10 + self.steps))
        kept, target = self.average.state_dict(), self.network.state_dict()
        moving = [name for name, value in kept.items() if value.is_floating_point()]
        follow: Any = get_ema_multi_avg_fn(keep)  # type: ignore[no-untyped-call]
        follow([kept[n] for n in moving], [target[n] for n in moving], None)
        for name in kept.keys() - moving:
            kept[name].copy_(target[name])
