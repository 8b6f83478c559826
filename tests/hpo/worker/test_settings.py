"""What a worker makes of its settings and a trial's hyperparameters."""

from __future__ import annotations

from pathlib import Path

from models import count_parameters, trainable_parameters
from tests.helpers.workers import settings

PARAMS = {"lr": 0.01, "batch_size": 32, "activation": "gelu", "dropout": 0.0}


def test_hyperparameters_of_the_training_are_in_its_config(tmp_path: Path) -> None:
    config = settings(tmp_path, epochs=9).train_config(PARAMS, seed=6)
    assert (config.lr, config.batch_size, config.epochs, config.seed, config.precision) == (0.01, 32, 9, 6, "float32")


def test_hyperparameters_of_the_architecture_are_in_its_network(tmp_path: Path) -> None:
    network = settings(tmp_path, num_classes=7).network(PARAMS)()
    assert trainable_parameters(network) == count_parameters("mlp", (1, 28, 28), 7)
    assert "GELU" in repr(network)
