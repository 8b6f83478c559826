"""The settings that `hpo train` inherits: of a reproduced system's recipe, of an earlier winner, or none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpo.networks.reproduction.recipes import Recipe, recipes
from hpo.spec.checks import check_model, choice
from hpo.store.model_file import Description
from hpo.store.places import find
from hpo.store.trust import check_trusted
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from trainers.config import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class InheritedSettings:
    """Settings that flags may override; None where the source says nothing."""

    model: str
    config: dict[str, Any]
    """Hyperparameters by name."""
    epochs: int | None = None
    """Epochs that the training was planned for: where its learning rate schedule ends. A trial that was stopped early
    had fewer; it is trained to its end, and of a training the best epoch is kept in any case."""
    seed: int | None = None
    precision: str | None = None
    metric: str | None = None
    trainer: str | None = None
    dataset: str | None = None
    train_size: int | None = None
    mean: Any = None
    std: Any = None
    hashes: dict[str, str] | None = None
    """SHA-256 of the splits."""
    size: tuple[int, int] | None = None
    """Height and width of the images."""
    resize: str | None = None
    skip_broken: bool = False
    stream: bool = False

    def on_other_data(self) -> InheritedSettings:
        """The same settings without those that belong to the data set."""
        of_data = replace(self, dataset=None, train_size=None, mean=None, std=None, hashes=None)
        return replace(of_data, size=None, resize=None, skip_broken=False, stream=False)


def from_model(model: str | None) -> InheritedSettings:
    """Nothing but the architecture. Raises UserError for an unknown one."""
    name = "cnn" if model is None else model
    check_model(f"--model {name}", name)
    return InheritedSettings(model=name, config={})


def from_recipe(system: str, model: str | None) -> InheritedSettings:
    """The recipe of a system. Raises UserError, with the choices, when there is none or there are several."""
    try:
        found = recipes(system, (model,) if model else ())
    except ValueError as error:
        raise UserError(str(error).replace("--system", "--recipe")) from None
    if len(found) > 1:
        raise UserError(
            f"--recipe {system}: has several models; choose one with --model {' or '.join(r.model for r in found)}"
        )
    return _settings_of(found[0])


def _settings_of(recipe: Recipe) -> InheritedSettings:
    run = ("epochs", "precision", "metric", "device", "threads", "seed")  # these are no hyperparameters
    config = {key: value for key, value in asdict(recipe.train).items() if key not in run}
    return InheritedSettings(
        model=recipe.model,
        config={**config, **recipe.arch},
        epochs=recipe.train.epochs,
        mean=recipe.mean,
        std=recipe.std,
    )


def from_winner(folder: Path, model: str | None) -> InheritedSettings:
    """The winner that the best.json in a run's folder describes. Raises UserError when there is none."""
    folder = find(folder)
    try:
        best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
        description = Description.from_dict(best)
        trial = TrialRecord.from_dict(best["trial"])
        choice("precision", trial.precision, PRECISIONS)
        settings = InheritedSettings(
            model=description.model,
            config=dict(trial.config),
            epochs=description.epochs,
            seed=trial.seed,
            precision=trial.precision,
            metric=trial.metric,
            trainer=description.trainer,
            dataset=description.dataset,
            train_size=description.train_size,
            mean=description.mean,
            std=description.std,
            hashes=description.hashes,
            size=(description.input_shape[1], description.input_shape[2]),
            resize=description.resize,
            skip_broken=bool(description.skip_broken),
            stream=bool(description.stream),
        )
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"--from {folder}: contains no best.json; give the folder of a run with a winner") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--from {folder}: its best.json cannot be read ({error})") from error
    check_trusted(f"--from {folder}", settings.model, model)
    return settings
