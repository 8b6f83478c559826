"""Pictures to classes, in batches."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hpo.store import model_file as weights

if TYPE_CHECKING:
    from torch import nn

    from hpo.store.model_file import Description
    from trainers.data.pictures import Picture

_BATCH = 256


class Prediction(NamedTuple):
    """probabilities: of every class, in label order; empty for a file that could not be read, which error says."""

    file: Path
    probabilities: list[float]
    inverted: bool
    error: str = ""


def predict_pictures(
    path: Path, pictures: Sequence[Path], invert: str, trusted: str | None
) -> tuple[tuple[str, ...], list[Prediction]]:
    """Class names, and an answer for each picture; folders are searched for pictures. `trusted`: as `weights.load`.

    A file that is missing or no picture, and a folder without any, becomes an answer with an error, which names it:
    the others are worth having. Raises ValueError for unusable weights.
    """
    from models.layers import Normalized

    description, network = weights.load(path, trusted)
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
    return description.classes, sorted(answers, key=lambda answer: _place(pictures, answer.file))


def _read(pictures: Sequence[Path], description: Description, invert: str) -> Iterator[tuple[Path, Picture | str]]:
    """(file, picture, or what is wrong with it)."""
    from trainers.data.image_file import SUFFIXES
    from trainers.data.pictures import read

    for given in pictures:
        inside = os.path.isdir(given)  # unlike Path's, also of a name that can be none
        found = sorted(p for p in given.rglob("*") if p.suffix.lower() in SUFFIXES) if inside else [given]
        if not found:
            yield given, f"{given}: has no pictures ({', '.join(sorted(SUFFIXES))})"
        for file in found:
            try:
                yield file, read(file, description.input_shape, description.background, invert)
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


def _place(pictures: Sequence[Path], file: Path) -> tuple[int, Path]:
    """Where an answer stands: in the order the user named, then by name."""
    at = next((i for i, given in enumerate(pictures) if file == given or given in file.parents), len(pictures))
    return at, file
