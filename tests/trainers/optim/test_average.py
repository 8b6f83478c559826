"""The average of the weights against one made by hand."""

from __future__ import annotations

import torch
from torch import nn

from trainers.optim.average import WeightAverage, averaged_values


def test_the_newest_counts_for_much_at_first_and_for_one_minus_the_decay_later() -> None:
    value = torch.zeros(2)
    average = WeightAverage({"w": value}, 0.9)
    expected = torch.zeros(2)
    for step in range(1, 200):
        value += 1.0
        average.update()
        newest = max(0.1, 10 / (step + 9))
        expected = (1 - newest) * expected + newest * value
        if step == 1:
            assert torch.equal(average.averages["w"], value)  # nothing of the initial weights is left
    torch.testing.assert_close(average.averages["w"], expected)
    assert int(average.steps) == 199


def test_each_of_several_trials_has_its_own_decay_and_zero_is_none() -> None:
    values = torch.zeros(3, 2, 2)
    average = WeightAverage({"w": values}, [0.5, 0.0, 0.99])
    alone = [WeightAverage({"w": values[k]}, decay) for k, decay in enumerate([0.5, 0.0, 0.99])]
    for _ in range(50):
        values += torch.rand(3, 2, 2)
        for one in (average, *alone):
            one.update()
    for k, one in enumerate(alone):
        torch.testing.assert_close(average.state(k)["w"], one.averages["w"])
    assert torch.equal(average.state(1)["w"], values[1])
    average.keep([2, 0], {"w": values[[2, 0]]})
    torch.testing.assert_close(average.state(0)["w"], alone[2].averages["w"])


def test_a_network_has_the_average_within_the_context_and_its_own_weights_after_it() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = WeightAverage(averaged_values(network), 0.9)
    own = {name: value.clone() for name, value in network.state_dict().items()}
    assert set(average.averages) == set(own) - {"1.num_batches_tracked"}
    with torch.no_grad():
        network[0].weight += 1.0
    average.update()
    with torch.no_grad():
        network[0].weight += 1.0
    place = network[0].weight.data_ptr()
    with average.applied():
        torch.testing.assert_close(network[0].weight.detach(), own["0.weight"] + 1)
        assert network[0].weight.data_ptr() == place
    torch.testing.assert_close(network[0].weight.detach(), own["0.weight"] + 2)


def test_it_goes_on_from_what_it_saved_and_begins_anew_from_nothing() -> None:
    value = torch.ones(2)
    first = WeightAverage({"w": value}, 0.9)
    for _ in range(5):
        value += 1
        first.update()
    second = WeightAverage({"w": value}, 0.9)
    second.load(first.save())
    for one in (first, second):
        one.update()
    assert torch.equal(first.averages["w"], second.averages["w"])
    second.load(None)
    assert torch.equal(second.averages["w"], value) and int(second.steps) == 0
