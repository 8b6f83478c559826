from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainers import checkpoint
from trainers.optim.average import WeightAverage, averaged_values


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def move(values: dict[str, Tensor], step: int) -> None:
    """Does what an optimizer does: changes the values where they are."""
    with torch.no_grad():
        for name, value in values.items():
            value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(step + len(name))))


def by_hand(values: dict[str, Tensor], decay: float, steps: int) -> dict[str, Tensor]:
    """Moves the values; returns their average as its definition says."""
    averages = {name: value.detach().double() for name, value in values.items()}
    for step in range(1, steps + 1):
        move(values, step)
        newest = max(1 - decay, 10 / (9 + step))
        averages = {name: (1 - newest) * averages[name] + newest * values[name].detach() for name in values}
    return averages


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.999])
def test_the_average_is_the_one_computed_by_hand(decay: float) -> None:
    ours, theirs = averaged_values(network()), averaged_values(network())
    average = WeightAverage(ours, decay)
    for step in range(1, 31):
        move(ours, step)
        average.update()
    for name, value in by_hand(theirs, decay, 30).items():
        torch.testing.assert_close(average.state()[name].double(), value, rtol=1e-5, atol=1e-5)


def test_initial_weights_have_no_part_in_it() -> None:
    values = averaged_values(network())
    average = WeightAverage(values, 0.999)
    move(values, 1)
    average.update()
    assert all(torch.equal(average.averages[name], value) for name, value in values.items())


def test_it_holds_trained_weights_and_running_statistics() -> None:
    model = network()
    model[2].requires_grad_(False)  # type: ignore[index]
    names = {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"}
    assert set(averaged_values(model)) == names


def test_it_is_applied_in_the_same_memory_and_taken_back() -> None:
    values = averaged_values(network())
    average = WeightAverage(values, 0.9)
    for step in range(1, 15):
        move(values, step)
        average.update()
    places = {name: value.data_ptr() for name, value in values.items()}
    own = {name: value.detach().clone() for name, value in values.items()}

    def interrupted() -> None:
        with average.applied():
            assert all(torch.equal(value, average.averages[name]) for name, value in values.items())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(torch.equal(value, own[name]) for name, value in values.items())
    assert places == {name: value.data_ptr() for name, value in values.items()}


def test_it_goes_on_from_what_was_saved(tmp_path: Path) -> None:
    whole, halves = averaged_values(network()), averaged_values(network())
    average, first, second = WeightAverage(whole, 0.99), WeightAverage(halves, 0.99), WeightAverage(halves, 0.99)
    for step in range(1, 31):
        for values in (whole, halves):
            move(values, step)
        average.update()
        (first if step <= 15 else second).update()
        if step == 15:
            checkpoint.save(tmp_path / "c.pt", first.save())
            second.load(checkpoint.load(tmp_path / "c.pt"))
    assert all(torch.equal(value, second.averages[name]) for name, value in average.averages.items())
    second.load(None)  # of a training without an average
    assert int(second.steps) == 0 and all(torch.equal(halves[n], value) for n, value in second.averages.items())


def test_stacked_trials_have_a_decay_each_and_none_with_zero() -> None:
    decays = [0.9, 0.0, 0.5]
    stacked = {"weight": torch.zeros(3, 2, 2, dtype=torch.float64), "bias": torch.zeros(3, 2)}
    alone = [{name: value[trial].clone() for name, value in stacked.items()} for trial in range(3)]
    average, each = WeightAverage(stacked, decays), [WeightAverage(alone[n], decay) for n, decay in enumerate(decays)]
    for step in range(1, 21):
        move(stacked, step)
        average.update()
        for trial, one in enumerate(each):
            for name, value in alone[trial].items():
                value.copy_(stacked[name][trial])
            one.update()
    for trial, one in enumerate(each):
        for name, value in one.state().items():
            torch.testing.assert_close(average.state(trial)[name], value, rtol=0, atol=0)
    assert torch.equal(average.state(1)["weight"], stacked["weight"][1])


def test_trials_that_stay_keep_their_averages() -> None:
    values = {"weight": torch.zeros(3, 2)}
    average = WeightAverage(values, [0.9, 0.0, 0.5])
    move(values, 1)
    average.update()
    before = [average.state(trial)["weight"] for trial in range(3)]
    left = {"weight": values["weight"][[2, 0]]}
    average.keep([2, 0], left)
    assert torch.equal(average.averages["weight"], torch.stack([before[2], before[0]]))
    assert average.least.tolist() == pytest.approx([0.5, 0.1])
    with average.applied():
        assert torch.equal(left["weight"], average.averages["weight"])
