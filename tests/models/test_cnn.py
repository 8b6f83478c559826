from __future__ import annotations

from torch import nn

from models import build_model
from models.layers import Dropout


def order(name: str) -> list[type[nn.Module]]:
    return [type(layer) for layer in build_model(name, (1, 28, 28), 10, activation="gelu", dropout=0.1).children()]


HEAD = [nn.Flatten, Dropout, nn.Linear, nn.GELU, Dropout, nn.Linear, nn.GELU, nn.Linear]


def test_the_layers_stand_in_the_order_that_the_table_gives() -> None:
    pooled = [nn.Conv2d, nn.GELU, nn.MaxPool2d]  # gelu comes before the pooling
    assert order("cnn") == [*pooled, *pooled, *HEAD]
    assert order("cnn_deep") == [*pooled, *pooled, nn.Conv2d, nn.GELU, *HEAD]
    dropout = [nn.Conv2d, nn.GELU, *pooled, nn.Flatten, Dropout, nn.Linear, nn.GELU, Dropout, nn.Linear]
    assert order("cnn_dropout") == dropout
