"""Predicts the classes of pictures, in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpo.store import model_file
from hpo.store.model_file import Description
from models.layers import Normalized
from trainers.data.images.image_file import SUFFIXES
from trainers.data.images.pictures import Picture, read

if TYPE_CHECKING:
    from torch import nn


_BATCH = 256


class Prediction(NamedTuple):
    """The answer for one picture."""

    file: Path
    probabilities: list[float]
    """One per class, in the order of the labels; empty for a file that could not be read."""
    inverted: bool
    """Whether the negative of the picture was used."""
    error: str = ""
    """Why the file could not be read."""


def predict_pictures(
    path: Path, pictures: Sequence[Path], invert: str, trusted: str | None, trial_network: bool = False
) -> tuple[tuple[str, ...], list[Prediction]]:
    """Returns the class names, and an answer for each picture. Folders are searched for pictures.

    `trusted` and `trial_network` are as in `model_file.load`. A missing file, a file that is no picture and a folder
    without pictures get an answer with an error, so that the other answers are not lost. Raises UserError for unusable
    weights.
    """

    description, network = model_file.load(path, trusted, trial_network)
    normalized = Normalized(network, description.mean, description.std).eval()
    answers: list[Prediction] = []
    batch: list[tuple[Path, Picture]] = []
    for file, picture in _read(pictures, description, invert):
        if isinstance(picture, str):
            answers.append(Prediction(file, [], False, picture))
            continue
        batch.append((file, picture))
        if len(batch) == _BATCH:
            answers += _predict(normalized, batch)
            batch = []
    answers += _predict(normalized, batch)
    return description.classes, sorted(answers, key=lambda answer: _position(pictures, answer.file))


def _read(pictures: Sequence[Path], description: Description, invert: str) -> Iterator[tuple[Path, Picture | str]]:
    """Yields each file with its picture, or with a text that says what is wrong."""

    shape, background, resize = description.input_shape, description.background, description.resize or "pad"
    for given in pictures:
        inside = os.path.isdir(given)  # unlike Path.is_dir, it takes names that no file can have
        found = sorted(p for p in given.rglob("*") if p.suffix.lower() in SUFFIXES) if inside else [given]
        if not found:
            yield given, f"{given}: contains no pictures ({', '.join(sorted(SUFFIXES))})"
        for file in found:
            try:
                yield file, read(file, shape, background, invert, resize)
            except FileNotFoundError:
                yield file, f"{file}: there is no such file"
            except ValueError as error:
                yield file, str(error)


def _predict(network: nn.Module, batch: Sequence[tuple[Path, Picture]]) -> Iterator[Prediction]:
    import torch

    if not batch:
        return
    pixels = torch.stack([picture.pixels for _, picture in batch])
    with torch.inference_mode():
        probabilities = network(pixels).softmax(1).tolist()
    for (file, picture), values in zip(batch, probabilities, strict=True):
        yield Prediction(file, values, picture.inverted)


def _position(pictures: Sequence[Path], file: Path) -> tuple[int, Path]:
    """The sort key of an answer: the order in which the user named the pictures, then the name."""
    at = next((i for i, given in enumerate(pictures) if file == given or given in file.parents), len(pictures))
    return at, file
