"""A configuration of cnn, trained anew on training and validation images and tested, as finals do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from models import build_model
from trainers.config import TrainConfig, split_config
from trainers.data.dataset import load_dataset
from trainers.loop import predict
from trainers.single import SingleTrainer

TRAIN, EPOCHS = 10_000, 9
FIRST_SEED = 1_000_000  # of the finals of a search with seed 0


def test_accuracy(config: Mapping[str, Any], seed: int, data: Path) -> float:
    """The accuracy on the test images of MNIST."""
    dataset = load_dataset("mnist", data, train_size=TRAIN)
    train, arch = split_config(dict(config))
    make = partial(build_model, "cnn", dataset.input_shape, len(dataset.classes), **arch)
    trainer = SingleTrainer(make, dataset.training.joined(), TrainConfig(**train, epochs=EPOCHS, seed=seed))
    while trainer.epoch < EPOCHS:
        trainer.step()
    model, test = make(), dataset.test.open()
    model.load_state_dict(trainer.weights())
    return float((predict(model, test, "float32").argmax(1) == test.labels).float().mean())
