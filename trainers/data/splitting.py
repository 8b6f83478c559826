"""Splits a data set into training, validation and test images: stratified, seeded, the same every time."""

from __future__ import annotations

import numpy as np

from trainers.data.reading import RawSplit, Source
from trainers.errors import DataError

VALIDATION_SHARE, MAX_VALIDATION_IMAGES = 0.2, 5000
TEST_SHARE = 0.2  # held out where a source has no test set of its own
MIN_IMAGES = 3  # of a class, where splits are made of the training images
SPLIT_SEED = 0  # independent of a study's seed: every study of a data set sees the same splits


def split(source: Source, train_size: int | None) -> tuple[RawSplit, RawSplit, RawSplit]:
    """Returns the images for training, validation and test; those that the source has apart stay as they are.

    train_size: so many of the training images, in the proportions of the classes. Raises DataError for a class of too
    few images and a `train_size` out of bounds.
    """
    train, validation, test, classes = source.train, source.validation, source.test, source.classes
    _check_counts(train, classes, needed=MIN_IMAGES if test is None or validation is None else 1)
    if test is None:
        test, train = _stratified(train, round(TEST_SHARE * len(train)), classes)
    if validation is None:
        size = min(round(VALIDATION_SHARE * len(train)), MAX_VALIDATION_IMAGES)
        validation, train = _stratified(train, size, classes)
    if train_size is not None:
        train = _subset(train, train_size, classes)
    return train, validation, test


def _check_counts(data: RawSplit, classes: tuple[str, ...], needed: int) -> None:
    for label, count in enumerate(np.bincount(data.labels, minlength=len(classes))):
        if count < needed:
            raise DataError(
                f"--dataset: class {classes[label]!r} has {count} training images, at least {needed} are needed"
            )


def _stratified(data: RawSplit, size: int, classes: tuple[str, ...], left: int = 1) -> tuple[RawSplit, RawSplit]:
    """Splits off `size` images in the proportions of the classes; returns (those, the rest), in source order.

    There is at least one image of each class among those, and `left` in the rest.
    """
    counts = np.bincount(data.labels, minlength=len(classes))
    quota = counts * (size / len(data.labels))
    take = np.clip(np.floor(quota).astype(int), 1, counts - left)
    for label in np.argsort(take - quota, kind="stable")[: max(0, size - take.sum())]:
        take[label] += 1
    rng = np.random.default_rng(SPLIT_SEED)
    shuffled = [rng.permutation(np.flatnonzero(data.labels == label)) for label in range(len(classes))]
    chosen = np.sort(np.concatenate([order[:n] for order, n in zip(shuffled, take, strict=True)]))
    rest = np.setdiff1d(np.arange(len(data.labels)), chosen)
    return data.take(chosen), data.take(rest)


def _subset(train: RawSplit, size: int, classes: tuple[str, ...]) -> RawSplit:
    if not len(classes) <= size <= len(train.labels):
        raise DataError(
            f"--train-size {size}: must be between {len(classes)} (one image of each class) "
            f"and {len(train.labels)} (the whole training split)"
        )
    return train if size == len(train.labels) else _stratified(train, size, classes, left=0)[0]
