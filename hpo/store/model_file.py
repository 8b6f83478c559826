"""best.pt: a network's weights with all it takes to build it again and to feed it."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.trust import check_trusted, consent
from hpo.system.errors import UserError
from models import build_model
from trainers import checkpoint
from trainers.data.dataset import DATASETS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Description:
    """model, arch: what `build_model` takes. classes: names, in label order. mean, std: per channel, of pixels in
    [0, 1]. background: of the training images, see trainers/data/pictures.py. dataset: its name, or its absolute path.
    hashes: SHA-256 of the splits. epochs: that the training was planned for, where its schedule ends."""

    model: str
    arch: dict[str, Any]
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    background: str
    dataset: str
    train_size: int | None
    hashes: dict[str, str]
    epochs: int
    trial_id: str

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and torch.save alike."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {**values, "num_classes": self.num_classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Description:
        """The inverse of `to_dict`; ValueError where something is missing or of another kind."""
        if not isinstance(values, dict):
            raise ValueError(f"it holds a {type(values).__name__}")
        for key, (kind, items) in _KINDS.items():
            value = values.get(key)
            inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            if not isinstance(value, kind) or (items and not all(isinstance(item, items) for item in inner)):
                what = "missing" if key not in values else f"no {getattr(kind, '__name__', kind)}"
                raise ValueError(f"{key} is {what}")
        kept: dict[str, Any] = {item.name: values.get(item.name) for item in fields(cls)}
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()}
        channels = len(values["mean"]), len(values["std"])
        if len(values["input_shape"]) != 3 or channels != (values["input_shape"][0],) * 2:
            raise ValueError("its input_shape, mean and std do not fit together")
        return cls(**plain)

    def build(self) -> nn.Module:
        """The network with random weights. ValueError, TypeError or RuntimeError where `arch` is not its."""
        return build_model(self.model, self.input_shape, self.num_classes, **self.arch)


# What each entry must be, and what it must hold; a file is not taken at its word.
_KINDS: dict[str, tuple[Any, Any]] = {
    "model": (str, None),
    "arch": (dict, (bool, int, float, str)),
    "input_shape": (list, int),
    "classes": (list, str),
    "mean": (list, float),
    "std": (list, float),
    "background": (str, None),
    "dataset": (str, None),
    "train_size": (int | None, None),
    "hashes": (dict, str),
    "epochs": (int, None),
    "trial_id": (str, None),
}


def save(path: Path, description: Description, state_dict: dict[str, Any]) -> None:
    """Writes best.pt, whole or not at all; OSError where the disk does not take it."""
    checkpoint.save(path, {**description.to_dict(), "state_dict": state_dict})


def data_key(name: str) -> str:
    """A data set's name, or the absolute path of one that is a folder or a .tar."""
    return name if name in DATASETS else str(Path(name).resolve())


def file_of(path: Path) -> Path:
    """best.pt in the folder of a run, or the file itself."""
    return path / "best.pt" if path.is_dir() else path


def load(path: Path | str, trusted: str | None = None) -> tuple[Description, nn.Module]:
    """The description and the network, ready to be used, of a best.pt or of the folder that holds one.

    The network takes images (N, channels, height, width) of pixels in [0, 1], less description.mean, divided by
    description.std, and gives logits (N, classes). trusted: a MODULE:NAME whose code may run; a file that names
    another one is refused, because it could name anything. Raises ValueError, in one line, where there is none, it
    is damaged, or it does not fit the architecture it names. No code in the file can run.
    """
    file = file_of(Path(path))
    try:
        state = checkpoint.load(file)
    except FileNotFoundError:
        raise UserError(f"{file}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(str(error)) from error
    try:
        description = Description.from_dict(state)
    except ValueError as error:
        raise UserError(f"{file}: no network of Podium's ({error})") from error
    check_trusted(str(file), description.model, trusted)
    return description, _network(file, description, state.get("state_dict"))


def arguments(folder: Path, model: str) -> str:
    """What a command needs to be told to use the weights in `folder`: its path, and consent to code of the user's."""
    return shlex.quote(str(folder)) + consent([model])


def _network(file: Path, description: Description, weights: Any) -> nn.Module:
    try:
        network = description.build()
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: its weights do not fit architecture {description.model} ({reason})") from error
    return network.eval()
