"""Data sets of image files: a folder or .tar with train/ and, if there is one, test/.

Two layouts: {ID}_{Label}.png straight in train/ and test/ with a number for a label, or a folder of images
per class, of any name. Every image must have the same size; grey images give one channel, else there are three.
"""

from __future__ import annotations

import tarfile
from collections import Counter
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
_GREY = {"1", "L"}
_UNDECODABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

Arrays = tuple[np.ndarray, np.ndarray]


def read(path: Path) -> tuple[tuple[str, ...], Arrays, Arrays | None]:
    """Class names, (images, labels) of train/, and those of test/ or None.

    images: uint8 (N, height, width, channels); labels: int64 (N,). Raises ValueError naming the file for an
    image that does not decode or has another size, a label that is no number, an empty class.
    """
    files, folders = _files(path)
    if not files["train"]:
        raise ValueError(f"--dataset {path}: has no images in train/")
    numbered = any(len(PurePosixPath(name).parts) == 1 for name in files["train"])
    labels = {part: [_label(path, part, name, numbered) for name in files[part]] for part in files}
    named = sorted(set(labels["train"]), key=int if numbered else str)
    _check_classes(path, named, labels["test"], folders)
    images = _decoded(path, files)
    index = {name: number for number, name in enumerate(named)}
    arrays = {part: (images[part], np.array([index[label] for label in labels[part]], np.int64)) for part in images}
    return tuple(named), arrays["train"], arrays.get("test")


def _files(path: Path) -> tuple[dict[str, dict[str, bytes]], dict[str, set[str]]]:
    """Per part: the image files' contents by name relative to it, and the names of its class folders."""
    files: dict[str, dict[str, bytes]] = {"train": {}, "test": {}}
    folders: dict[str, set[str]] = {"train": set(), "test": set()}
    for name, data in _entries(path):
        parts = PurePosixPath(name).parts
        at = next((i for i, part in enumerate(parts[:2]) if part in files), None)
        if at is None or any(part.startswith(".") for part in parts[at:]):
            continue
        inside = parts[at + 1 :]
        if data is None and len(inside) == 1:
            folders[parts[at]].add(inside[0])
        elif data is not None and PurePosixPath(name).suffix.lower() in SUFFIXES:
            files[parts[at]]["/".join(inside)] = data
    return files, folders


def _entries(path: Path) -> list[tuple[str, bytes | None]]:
    """(name, contents; None for a folder) of everything under a folder or in a tar, by name."""
    try:
        if path.is_dir():
            return [
                (entry.relative_to(path).as_posix(), entry.read_bytes() if entry.is_file() else None)
                for entry in sorted(path.rglob("*"))
            ]
        with tarfile.open(path) as tar:
            entries = []
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file or member.isdir():
                    entries.append((member.name.removeprefix("./"), file.read() if file else None))
            return sorted(entries, key=lambda entry: entry[0])
    except (tarfile.TarError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--dataset {path}: no readable folder or .tar ({reason})") from error


def _label(path: Path, part: str, name: str, numbered: bool) -> str:
    if not numbered:
        return PurePosixPath(name).parts[0]
    _, separator, label = PurePosixPath(name).stem.rpartition("_")
    if not separator or not label.isdecimal():
        raise ValueError(
            f"--dataset {path}: {part}/{name}: no number for a label; files are named {{ID}}_{{Label}}.png"
        )
    return str(int(label))


def _check_classes(path: Path, named: list[str], tested: list[str], folders: dict[str, set[str]]) -> None:
    empty = sorted(folders["train"] - set(named)) if folders["train"] else []
    if empty:
        raise ValueError(f"--dataset {path}: class {empty[0]!r} is empty, train/{empty[0]} holds no image")
    unknown = sorted(set(tested) - set(named))
    if unknown:
        raise ValueError(f"--dataset {path}: class {unknown[0]!r} of test/ has no image in train/")
    if len(named) < 2:
        raise ValueError(f"--dataset {path}: only one class, {named[0]!r}; at least two are needed")


def _decoded(path: Path, files: dict[str, dict[str, bytes]]) -> dict[str, np.ndarray]:
    """Per part that has images: uint8 (N, height, width, channels), all of one size."""
    paths = {part: [f"--dataset {path}: {part}/{name}" for name in files[part]] for part in files}
    flat = [(where, data) for part in files for where, data in zip(paths[part], files[part].values(), strict=True)]
    modes = [_open(where, data).mode for where, data in flat]
    for (where, _), mode in zip(flat, modes, strict=True):
        if mode[0] in "IF":
            raise ValueError(f"{where}: has more than 8 bits a pixel (mode {mode}); convert it to 8 bits")
    target = "L" if _GREY.issuperset(modes) else "RGB"
    pixels = [_decode(where, data, target) for where, data in flat]
    ((height, width, _), _), *_ = Counter(image.shape for image in pixels).most_common(1)
    for (where, _), image in zip(flat, pixels, strict=True):
        if image.shape[:2] != (height, width):
            size = f"{image.shape[1]}x{image.shape[0]}"
            raise ValueError(f"{where}: is {size}, most images are {width}x{height}; all must have one size")
    cut = len(files["train"])
    parts = {"train": pixels[:cut], "test": pixels[cut:]}
    return {part: np.stack(images) for part, images in parts.items() if images}


def _decode(where: str, data: bytes, mode: str) -> np.ndarray:
    try:
        pixels = np.asarray(_open(where, data).convert(mode))
    except _UNDECODABLE as error:
        raise ValueError(f"{where}: does not decode ({error})") from error
    return pixels[..., None] if mode == "L" else pixels


def _open(where: str, data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data))
    except UnidentifiedImageError as error:
        raise ValueError(f"{where}: does not decode (it is no image)") from error
    except _UNDECODABLE as error:
        raise ValueError(f"{where}: does not decode ({error})") from error
