"""best.pt and best.json: a network's weights, and everything that is needed to build it again and to use it."""

from __future__ import annotations

import json
import logging
import shlex
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.store.places import find
from hpo.store.trust import check_trusted, consent
from hpo.system.errors import UserError
from hpo.system.files import write_json
from hpo.system.text import single_line
from hpo.trials.records import TrialRecord
from models import build_model
from trainers import checkpoint
from trainers.data.names import is_function, is_named

if TYPE_CHECKING:
    from torch import nn

TRIAL, FINAL = "trial", "final"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What is needed to build a network again and to give it images."""

    model: str
    arch: dict[str, Any]
    """The architecture's own hyperparameters, as `build_model` takes them."""
    input_shape: tuple[int, int, int]
    """Channels, height and width."""
    classes: tuple[str, ...]
    """Names, in the order of the labels."""
    mean: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    std: tuple[float, ...]
    """Per channel, of pixels in [0, 1]."""
    background: str
    """Whether the training images have dark or bright borders, see trainers/data/images/pictures.py."""
    dataset: str
    """The data set's name, or its absolute path."""
    train_size: int | None
    """Training images in the subset that was used; None for all."""
    hashes: dict[str, str]
    """SHA-256 of the splits."""
    epochs: int
    """Epochs that the training was planned for: the end of its learning rate schedule."""
    trial_id: str
    resize: str | None = None
    """How pictures of another size are made to fit, one of `RESIZES`; None in an older file: pad."""
    skip_broken: bool | None = None
    """Whether images that do not decode were left out."""
    trainer: str | None = None
    """The user's own training loop, by which it was trained."""
    stream: bool | None = None
    """Whether the training images were read anew in each epoch."""
    network: str | None = None
    """In a run's folder: `TRIAL`, as the search had it, which is what an older file holds, or `FINAL`, trained anew on
    training and validation images."""
    seed: int | None = None
    """Of the training of a `FINAL` network."""

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and for torch.save."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {**values, "num_classes": self.num_classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Description:
        """The inverse of `to_dict`. Raises ValueError when something is missing or of the wrong type."""
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
        """Builds the network with random weights. Raises ValueError, TypeError or RuntimeError for a wrong `arch`."""
        return build_model(self.model, self.input_shape, self.num_classes, **self.arch)


# The type of each entry, and of what it contains: files may be damaged or come from elsewhere.
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
    "resize": (str | None, None),
    "skip_broken": (bool | None, None),
    "trainer": (str | None, None),
    "stream": (bool | None, None),
    "network": (str | None, None),
    "seed": (int | None, None),
}


def save(path: Path, description: Description, state_dict: dict[str, Any]) -> None:
    """Writes best.pt, whole or not at all. Raises OSError."""
    checkpoint.save(path, {**description.to_dict(), "state_dict": state_dict})


def write_description(path: Path, description: Description, record: TrialRecord) -> None:
    """Writes best.json: the description, and under "trial" the record of the training. Raises OSError."""
    trial = {key: value for key, value in record.to_dict().items() if key != "curve"}
    write_json(path, {**description.to_dict(), "trial": trial})


def load(path: Path | str, trusted: str | None = None, trial_network: bool = False) -> tuple[Description, nn.Module]:
    """Reads a best.pt, or the one in a folder; returns its description and the network in evaluation mode.

    The network takes images (N, channels, height, width) of pixels in [0, 1], minus description.mean, divided by
    description.std, and returns logits (N, classes). `trusted` is a MODULE:NAME whose code may run; a file that names
    any other code is refused. No code in the file itself can run. trial_network: takes the network that the search
    had, not the one that was trained anew for the finals. Raises UserError when the file is missing or damaged, or
    when its weights do not fit the architecture.
    """
    file = file_of(Path(path), trial_network)
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
        raise UserError(f"{file}: is not a Podium network ({error})") from error
    check_trusted(str(file), description.model, trusted)
    return description, _network(file, description, state.get("state_dict"))


def read_whole(file: Path) -> dict[str, Any] | None:
    """What a file of weights holds; None where it is missing, or damaged, which the log says."""
    try:
        return dict(checkpoint.load(file))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        logger.warning("%s", error)
        return None


def weights_in(file: Path, record: TrialRecord, network: str) -> dict[str, Any] | None:
    """The weights in a file, where it is whole and holds this network, `TRIAL` or `FINAL`, of this trial."""
    state = read_whole(file) or {}
    found = state.get("trial_id"), state.get("network") or TRIAL
    return state.get("state_dict") if found == (record.trial_id, network) else None


def has_weights(folder: Path, record: TrialRecord, trial_network: bool = False) -> bool:
    """Whether results/NAME holds this trial's weights: those in best.pt, or those that the search had."""
    if _best(folder).get("trial_id") != record.trial_id:
        return False
    try:
        return file_of(folder, trial_network).exists()
    except UserError:
        return False


def file_of(path: Path, trial_network: bool = False) -> Path:
    """The best.pt in a run's folder, or of a run of that name, or the file itself. trial_network: as in `load`, which
    takes a run. Raises UserError for anything else, and where that network was lost."""
    path = find(path)
    if not trial_network:
        return path / "best.pt" if path.is_dir() else path
    if not path.is_dir():
        raise UserError(f"--trial-network: {path} is not a run's folder")
    if (path / "trial.pt").exists():
        return path / "trial.pt"
    if _best(path).get("network") == FINAL:
        raise UserError(f"--trial-network: {path} has only the network of the finals; that of the search was lost")
    return path / "best.pt"


def _best(folder: Path) -> dict[str, Any]:
    """best.json; empty where it is missing or damaged."""
    try:
        return dict(json.loads((folder / "best.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def data_key(name: str) -> str:
    """A data set's name, or the absolute path of one that is a folder or a file."""
    return name if is_named(name) or is_function(name) else str(Path(name).resolve())


def arguments(folder: Path, model: str) -> str:
    """The words that make a command use the weights in `folder`: the path and, for a user's own model, --model."""
    return shlex.quote(str(folder)) + consent([model])


def _network(file: Path, description: Description, weights: Any) -> nn.Module:
    try:
        network = description.build()
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = single_line(str(error))[:200]
        raise UserError(f"{file}: its weights do not fit the architecture {description.model} ({reason})") from error
    return network.eval()
