"""best.pt: a network's weights with all it takes to build it again and to feed it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models import build_model, is_known
from trainers import checkpoint
from trainers.data import Dataset

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Description:
    """model, arch: what `build_model` takes. classes: names, in label order. mean, std: per channel, of pixels in
    [0, 1]. background: of the training images, see trainers/pictures.py. hashes: SHA-256 of the splits."""

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
        """The inverse of `to_dict`; KeyError where something is missing."""
        kept: dict[str, Any] = {item.name: values[item.name] for item in fields(cls)}
        plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in kept.items()}
        return cls(**plain)


def describe(trial_id: str, model: str, arch: dict[str, Any], dataset: Dataset, train_size: int | None) -> Description:
    """The description of a network trained on `dataset`."""
    from trainers.pictures import background

    return Description(
        model=model,
        arch=arch,
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        mean=dataset.mean,
        std=dataset.std,
        background=background(dataset),
        dataset=dataset.name,
        train_size=train_size,
        hashes=dataset.hashes,
        trial_id=trial_id,
    )


def save(path: Path, description: Description, state_dict: dict[str, Any]) -> None:
    """Writes best.pt, whole or not at all; OSError where the disk does not take it."""
    checkpoint.save(path, {**description.to_dict(), "state_dict": state_dict})


def load(path: Path) -> tuple[Description, nn.Module]:
    """The description and the network, ready to be used, of a best.pt or of the folder that holds one.

    Raises ValueError, in one line, where there is none, it is damaged, or it does not fit the architecture it
    names. No code in the file can run.
    """
    file = path / "best.pt" if path.is_dir() else path
    try:
        state = checkpoint.load(file)
        description = Description.from_dict(state)
    except FileNotFoundError:
        raise ValueError(f"{file}: there is no such file") from None
    except OSError as error:
        raise ValueError(f"{file}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file}: no network of Podium's ({error} is missing)") from error
    return description, _network(file, description, state.get("state_dict"))


def _network(file: Path, description: Description, weights: Any) -> nn.Module:
    if not is_known(description.model):
        raise ValueError(f"{file}: is of architecture {description.model}, which is not known here")
    # Weights that training began with are not needed any more, and may not be at hand.
    arch = {key: value for key, value in description.arch.items() if key != "pretrained"}
    try:
        network = build_model(description.model, description.input_shape, description.num_classes, **arch)
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{file}: its weights do not fit architecture {description.model} ({reason})") from error
    return network.eval()
