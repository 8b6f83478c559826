"""Whether there is enough in a batch for all workers of a trial."""

from __future__ import annotations

from hpo.networks.capacity import least_batch
from hpo.spec.plan import ModelPlan
from hpo.system.errors import UserError
from trainers.config import TrainConfig, split_config
from trainers.data.dataset import Dataset


def check_batches(models: tuple[ModelPlan, ...], dataset: Dataset, workers: int) -> None:
    """Raises UserError where even the largest batch of an architecture has too few images for all workers."""
    images = len(dataset.training.train)
    for model in models:
        _, arch = split_config({key: model.space.default[key] for key in model.space.distributions})
        needed = workers * least_batch(model.name, dataset, arch)
        largest = largest_batch(model)
        if workers == 1 and largest < needed:
            raise UserError(f"--set batch_size={largest}: {model.name} needs batches of at least {needed} images")
        each = f"--workers-per-trial {workers}: {model.name} needs batches of at least {needed} images"
        if largest < needed:
            raise UserError(f"{each}, batch_size is at most {largest}; give a larger --range or --set batch_size=")
        if images < needed:
            raise UserError(f"{each}, there are {images} training images; take fewer workers or a larger --train-size")


def largest_batch(model: ModelPlan) -> int:
    """The largest batch size that a trial of the architecture can have."""
    sizes = model.space.distributions.get("batch_size")
    if sizes is None:
        return int(model.space.default.get("batch_size", TrainConfig.batch_size))
    return int(max(sizes.choices) if hasattr(sizes, "choices") else sizes.high)  # type: ignore[attr-defined]
