"""Data sets that exist in Python: arrays, and whatever yields images with their labels.

Each is read once, into bytes. A random transformation in it is therefore drawn once for each image, unless the training
images are streamed (trainers/data/streaming.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainers import atomic
from trainers.data.reading import ReadOptions, Source
from trainers.data.sources.items import line_of, read_parts
from trainers.errors import DataError

_PARTS = ("train", "validation", "test")
FORMS = (
    "give (train, test), a mapping with train, test, validation and classes, or arrays (x_train, y_train, x_test, "
    "y_test); each part yields (image, label)"
)


def read(name: str, made: Any, options: ReadOptions) -> Source:
    """Reads a data set from Python objects; see `FORMS`.

    An image is a PIL image, an array (height, width) or (height, width, channels), or a tensor (channels, height,
    width): bytes, or numbers in [0, 1]. A label is a whole number or a text. Raises DataError, in one line.
    """
    given = parts_of(name, made)
    if options.stream:
        _check_numbered(name, given)
    items = {part: _ObjectItems(name, given[part]) for part in _PARTS if given.get(part) is not None}
    if "train" not in items or not len(items["train"]):
        raise DataError(f"--dataset {name}: has no training images; {FORMS}")
    raw = {part: each.labels for part, each in items.items()}
    classes, numbers = _numbered(name, raw, given.get("classes"))
    for part, each in items.items():
        each.numbers = numbers[part]
    splits, notice = read_parts(name, list(items.values()), options)
    by_part = dict(zip(items, splits, strict=True))
    return Source(name, classes, by_part["train"], by_part.get("validation"), by_part.get("test"), notice)


def read_npz(path: Path, options: ReadOptions) -> Source:
    """Reads a file of NumPy arrays x_train and y_train; x_test, y_test, x_validation, y_validation and classes may be
    there too. Raises DataError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:
        raise DataError(f"--dataset {path}: cannot be read ({line_of(error)})") from error
    made: dict[str, Any] = {
        part: (arrays[f"x_{part}"], arrays[f"y_{part}"])
        for part in _PARTS
        if f"x_{part}" in arrays and f"y_{part}" in arrays
    }
    if "classes" in arrays:
        made["classes"] = arrays["classes"].tolist()
    if "train" not in made:
        raise DataError(f"--dataset {path}: has {', '.join(arrays) or 'nothing'}; needs arrays x_train and y_train")
    return read(str(path), made, options)


def keep(made: Any, folder: Path) -> Path:
    """Writes the data set into a file of arrays, which is named after its content, and returns the path.

    Raises DataError as `read`, and where images have several sizes; OSError where the disk does not take it.
    """
    source = read("objects", made, ReadOptions())
    arrays: dict[str, np.ndarray] = {"classes": np.array(source.classes)}
    digest = hashlib.sha256(repr(source.classes).encode())
    for part in _PARTS:
        split = getattr(source, part)
        if split is not None:
            arrays |= {f"x_{part}": split.images, f"y_{part}": split.labels}
            digest.update(f"{part} {split.sha256()}".encode())
    path = folder / f"python-{digest.hexdigest()[:16]}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        savez: Any = np.savez
        atomic.write(path, lambda file: savez(file, **arrays))
    return path


class _ObjectItems:
    """A part's images with their labels, as PIL images and numbers."""

    def __init__(self, name: str, part: Any) -> None:
        if _is_pair_of_arrays(part):
            self._images, self.labels = part[0], np.asarray(part[1]).reshape(-1).tolist()
        else:
            pairs = _pairs(name, part)
            self._images, self.labels = [image for image, _ in pairs], [_plain(label) for _, label in pairs]
        if len(self._images) != len(self.labels):
            raise DataError(f"--dataset {name}: {len(self._images)} images have {len(self.labels)} labels")
        self.numbers: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, at: int) -> tuple[Image.Image, int]:
        return as_picture(self._images[at]), self.numbers[at]


def as_picture(image: Any) -> Image.Image:
    """Returns an image as Pillow has it. Raises ValueError for what is none."""
    if isinstance(image, Image.Image):
        return image
    array = image.numpy().transpose(1, 2, 0) if _is_tensor(image) and image.dim() == 3 else np.asarray(image)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.dtype.kind not in "uif":
        raise ValueError(f"{type(image).__name__} of shape {array.shape} and type {array.dtype} is no image; {FORMS}")
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):
            raise ValueError("pixels are not in [0, 1]; give them without a normalization, Podium has its own")
        array = (array * 255).round()
    elif array.min() < 0 or array.max() > 255:
        raise ValueError("whole pixels are not in 0 to 255")
    return Image.fromarray(np.ascontiguousarray(array.astype(np.uint8)))


def parts_of(name: str, made: Any) -> dict[str, Any]:
    """Returns what was made, by part. Raises DataError for what has none."""
    if isinstance(made, Mapping):
        if unknown := set(made) - {*_PARTS, "classes"}:
            raise DataError(f"--dataset {name}: {sorted(map(str, unknown))[0]} is no part of a data set; {FORMS}")
        return dict(made)
    if not isinstance(made, tuple):
        return {"train": made, "classes": getattr(made, "classes", None)}
    if len(made) == 4 and all(map(_is_array, made)):
        return {"train": made[:2], "test": made[2:]}
    if len(made) == 2 and not all(map(_is_array, made)):
        return {"train": made[0], "test": made[1], "classes": getattr(made[0], "classes", None)}
    if len(made) == 2:
        return {"train": made}
    raise DataError(f"--dataset {name}: is a {type(made).__name__} of {len(made)}; {FORMS}")


def image_at(part: Any) -> tuple[Callable[[int], Any], int]:
    """Returns a function that reads one image of a part, by number, and how many there are."""
    if _is_pair_of_arrays(part):
        return part[0].__getitem__, len(part[0])
    return lambda at: part[at][0], len(part)


def _check_numbered(name: str, parts: Mapping[str, Any]) -> None:
    """Raises DataError where training images cannot be read once more."""
    for part in ("train", "validation"):
        if parts.get(part) is not None and not hasattr(parts[part], "__getitem__"):
            kind = type(parts[part]).__name__
            raise DataError(f"--stream: the {part} images of {name} are a {kind}, which has no [index] to read them by")


def _pairs(name: str, part: Any) -> list[tuple[Any, Any]]:
    try:
        found = [part[at] for at in range(len(part))] if hasattr(part, "__getitem__") else list(part)
        return [(image, label) for image, label in found]
    except Exception as error:
        raise DataError(f"--dataset {name}: does not yield (image, label) ({line_of(error)})") from error


def _numbered(
    name: str, labels: Mapping[str, Sequence[Any]], classes: Any
) -> tuple[tuple[str, ...], dict[str, list[int]]]:
    """Returns the names of the classes that the training images have, and the labels as their numbers."""
    known = sorted(set(labels["train"]), key=lambda label: (isinstance(label, str), label))
    if len(known) < 2:
        raise DataError(f"--dataset {name}: has one class; at least two are needed")
    for part, each in labels.items():
        if strange := set(each) - set(known):
            raise DataError(f"--dataset {name}: class {strange.pop()!r} of the {part} images has no training image")
    at = {label: number for number, label in enumerate(known)}
    named = list(classes) if classes is not None else []
    names = tuple(str(named[label]) if isinstance(label, int) and label < len(named) else str(label) for label in known)
    return names, {part: [at[label] for label in each] for part, each in labels.items()}


def _plain(label: Any) -> Any:
    value = label.item() if hasattr(label, "item") else label
    return value if isinstance(value, str) else int(value)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "numpy") and hasattr(value, "dim")


def _is_pair_of_arrays(part: Any) -> bool:
    return isinstance(part, tuple | list) and len(part) == 2 and _is_array(part[0]) and _is_array(part[1])


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or _is_tensor(value)
