"""A run ends on time, resumes from a checkpoint, and averages its weights."""

from pathlib import Path

import pytest
import torch

from training.trainer import STATE, Schedule, Trainer


class Line(Trainer):
    """Learns to double a number."""

    def __init__(self, minutes: float = 0.001) -> None:
        torch.manual_seed(0)
        schedule = Schedule(minutes=minutes, learning_rate=0.05, weight_decay=0.0, ema_decay=0.9)
        super().__init__(torch.nn.Linear(1, 1), schedule)

    def losses(self) -> dict[str, torch.Tensor]:
        x = torch.rand(64, 1)
        return {"off": (self.network(x) - 2 * x).square().mean()}


def test_it_learns_until_its_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer = Line(minutes=0.02)
    before = trainer.step()["off"]
    trainer.train(tmp_path, lambda: "report")
    assert trainer.share == 1.0 and trainer.step()["off"] < 0.1 * before
    assert abs(float(trainer.ema(torch.ones(1, 1))) - 2.0) < 0.2
    assert "step 50 " in capsys.readouterr().out


def test_another_process_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    first, second = Line(), Line()
    first.train(tmp_path, lambda: "report")
    second.resume(tmp_path / STATE)
    assert (second.steps, second.seconds) == (first.steps, first.seconds) and first.steps > 0
    for own, resumed in (
        (first.network.state_dict(), second.network.state_dict()),
        (first.ema.state_dict(), second.ema.state_dict()),
    ):
        assert all(torch.equal(own[name], resumed[name]) for name in own)


def test_the_rate_rises_and_falls() -> None:
    schedule = Schedule(minutes=1, learning_rate=1.0, warm_up=0.1)
    rates = [schedule.learning_rate_at(share) for share in (0.0, 0.05, 0.1, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] == 0.0
