"""A run ends by its budget, goes on where another process left it, and keeps its average."""

from pathlib import Path

import pytest
import torch

from training.trainee import STATE, Pace, Trainee


class Line(Trainee):
    """Learns to double a number."""

    def __init__(self, minutes: float = 0.001) -> None:
        torch.manual_seed(0)
        pace = Pace(minutes=minutes, rate=0.05, decay=0.0, average=0.9)
        super().__init__(torch.nn.Linear(1, 1), pace)

    def losses(self) -> dict[str, torch.Tensor]:
        x = torch.rand(64, 1)
        return {"off": (self.network(x) - 2 * x).square().mean()}


def test_it_learns_until_its_time_is_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Line(minutes=0.02)
    before = run.step()["off"]
    run.train(tmp_path, lambda: "told")
    assert run.share == 1.0 and run.step()["off"] < 0.1 * before
    assert abs(float(run.average(torch.ones(1, 1))) - 2.0) < 0.2
    assert "step 50 " in capsys.readouterr().out


def test_another_process_goes_on_where_this_one_ended(tmp_path: Path) -> None:
    first, second = Line(), Line()
    first.train(tmp_path, lambda: "told")
    second.resume(tmp_path / STATE)
    assert (second.steps, second.seconds) == (first.steps, first.seconds) and first.steps > 0
    for mine, theirs in (
        (first.network.state_dict(), second.network.state_dict()),
        (first.average.state_dict(), second.average.state_dict()),
    ):
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_the_rate_rises_and_falls() -> None:
    pace = Pace(minutes=1, rate=1.0, warm_up=0.1)
    rates = [pace.rate_at(share) for share in (0.0, 0.05, 0.1, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] == 0.0
