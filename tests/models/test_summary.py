from __future__ import annotations

import pytest

from models import MODELS, count_parameters
from models.summary import summarize

MNIST = (1, 28, 28)


def test_a_summary_has_every_layer_with_its_shape_and_count() -> None:
    layers, parameters, flops = summarize("lenet5", MNIST, 10)
    assert parameters == 44_426 == sum(layer.parameters for layer in layers)
    assert layers[0].kind.startswith("Conv2d(1, 6") and layers[0].output == (6, 24, 24)
    assert layers[-1].output == (10,)
    convolutions = 24 * 24 * 6 * 25 + 8 * 8 * 16 * 150
    assert flops == 2 * (convolutions + 256 * 120 + 120 * 84 + 84 * 10)


@pytest.mark.parametrize("name", MODELS)
def test_the_layers_make_up_the_network(name: str) -> None:
    layers, parameters, _ = summarize(name, MNIST, 10)
    assert sum(layer.parameters for layer in layers) == parameters == count_parameters(name, MNIST, 10)
    assert layers[-1].output == (10,)
