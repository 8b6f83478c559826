"""Whether there is enough in a batch for all workers of a trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models import build_model
from trainers.config import TrainConfig, split_config
from trainers.data.dataset import Dataset

if TYPE_CHECKING:
    from hpo.search.plan import ModelPlan


def check_batches(models: tuple[ModelPlan, ...], dataset: Dataset, workers: int) -> None:
    """ValueError where no batch of an architecture, not the largest of its space, has enough images for all workers."""
    if workers == 1:
        return
    images = len(dataset.training.train)
    for model in models:
        needed = workers * _needed(model, dataset)
        largest = largest_batch(model)
        each = f"--workers-per-trial {workers}: {model.name} needs batches of at least {needed} images"
        if largest < needed:
            raise ValueError(f"{each}, batch_size is at most {largest}; give a larger --range or --set batch_size=")
        if images < needed:
            raise ValueError(f"{each}, there are {images} training images; take fewer workers or a larger --train-size")


def largest_batch(model: ModelPlan) -> int:
    """The largest batch size that a trial of the architecture can have."""
    sizes = model.space.distributions.get("batch_size")
    if sizes is None:
        return int(model.space.default.get("batch_size", TrainConfig.batch_size))
    return int(max(sizes.choices) if hasattr(sizes, "choices") else sizes.high)  # type: ignore[attr-defined]


def _needed(model: ModelPlan, dataset: Dataset) -> int:
    """Images that each worker needs."""
    import torch

    from trainers.ddp import images_needed

    _, arch = split_config({key: model.space.default[key] for key in model.space.distributions})
    with torch.device("meta"):
        return images_needed(build_model(model.name, dataset.input_shape, len(dataset.classes), **arch))
