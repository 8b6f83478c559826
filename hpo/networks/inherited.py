"""Where `hpo train` takes its settings from: a reproduced system's recipe, an earlier winner, or nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpo.networks.recipes import Recipe, recipes
from hpo.spec.checks import choice, unknown
from hpo.store.model_file import Description
from hpo.store.trust import check_trusted
from hpo.system.errors import UserError
from hpo.trials.records import TrialRecord
from models import MODELS, is_known
from trainers.config import PRECISIONS


@dataclass(frozen=True, kw_only=True)
class Inherited:
    """What is known before the flags are looked at; None where nothing is said. epochs: that were trained; horizon:
    that its schedule was planned for. hashes: of the splits."""

    model: str
    config: dict[str, Any]
    epochs: int | None = None
    horizon: int | None = None
    seed: int | None = None
    precision: str | None = None
    dataset: str | None = None
    train_size: int | None = None
    mean: Any = None
    std: Any = None
    hashes: dict[str, str] | None = None

    def on_other_data(self) -> Inherited:
        """Without what is the data set's."""
        return replace(self, dataset=None, train_size=None, mean=None, std=None, hashes=None)


def plain(model: str | None) -> Inherited:
    """The architecture alone; ValueError for an unknown one."""
    name = "cnn" if model is None else model
    if not is_known(name):
        raise unknown(f"--model {name}", name, MODELS, ", or give MODULE:NAME")
    return Inherited(model=name, config={})


def of_recipe(system: str, model: str | None) -> Inherited:
    """The recipe of a system; ValueError, with the choices, where there is none or there are several."""
    try:
        found = recipes(system, (model,) if model else ())
    except ValueError as error:
        raise UserError(str(error).replace("--system", "--recipe")) from None
    if len(found) > 1:
        raise UserError(f"--recipe {system}: has several models; add --model {' or '.join(r.model for r in found)}")
    return _from_recipe(found[0])


def _from_recipe(recipe: Recipe) -> Inherited:
    run = ("epochs", "precision", "device", "threads", "seed")  # of a run, not hyperparameters
    config = {key: value for key, value in asdict(recipe.train).items() if key not in run}
    return Inherited(
        model=recipe.model,
        config={**config, **recipe.arch},
        epochs=recipe.train.epochs,
        horizon=recipe.train.epochs,
        mean=recipe.mean,
        std=recipe.std,
    )


def of_winner(folder: Path, model: str | None) -> Inherited:
    """The winner that best.json of a run's folder describes; ValueError where there is none."""
    try:
        best = json.loads((folder / "best.json").read_text(encoding="utf-8"))
        description = Description.from_dict(best)
        trial = TrialRecord.from_dict(best["trial"])
        choice("precision", trial.precision, PRECISIONS)
        origin = Inherited(
            model=description.model,
            config=dict(trial.config),
            epochs=trial.epochs,
            horizon=description.epochs,
            seed=trial.seed,
            precision=trial.precision,
            dataset=description.dataset,
            train_size=description.train_size,
            mean=description.mean,
            std=description.std,
            hashes=description.hashes,
        )
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"--from {folder}: has no best.json, so no winner; give the folder of a run") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"--from {folder}: its best.json cannot be read ({error})") from error
    check_trusted(f"--from {folder}", origin.model, model)
    return origin
